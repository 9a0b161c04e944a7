//go:build linux

package main

import (
	"hash/crc32"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidings-sse/tidings/internal/rig"
)

// An event is what a publisher's nth event says about itself.
type event struct {
	pub, seq uint32
	at       time.Duration // when it was first sent, by this process's clock
}

// endOfRun is the publisher number of the events that mark the end of a run.
const endOfRun = 255

// A number names an event together with the id that it was received under, in 8 bytes,
// because there are millions of them.
type number uint64

func (e event) number(id string) number {
	return number(e.pub)<<56 | number(e.seq)<<32 | number(crc32.ChecksumIEEE([]byte(id)))
}

var began = time.Now()

// now returns the time on this process's monotonic clock.
func now() time.Duration { return time.Since(began) }

// filler pads events: lines of several lengths, also empty ones, and characters of
// several bytes.
var filler = strings.Repeat("the quick brown fox\njumps over\n\nthe lazy dog; 消息不会丢失: data: id: 7\n", 1000)

// data returns the event's data: a head that names the event, a line break, then about
// size bytes.
func (e event) data(size int) string {
	for !utf8.RuneStart(filler[size]) {
		size--
	}
	head := rig.Event{Number: int64(e.seq), Publisher: int64(e.pub), At: int64(e.at)}
	return string(head.Append(nil, func(dst []byte) []byte { return append(append(dst, '\n'), filler[:size]...) }))
}

// parseEvent parses the result of data. ok is false if a single byte differs.
func parseEvent(data string) (e event, ok bool) {
	head, ok := rig.ParseEvent([]byte(data))
	return event{uint32(head.Publisher), uint32(head.Number), time.Duration(head.At)}, ok
}
