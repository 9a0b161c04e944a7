//go:build linux

package main

import (
	"hash/crc32"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// An event is what a publisher's nth event says about itself. A checksum in its data
// shows whether the data is torn or mixed with another event's.
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

// data returns the event's data: a line that names the event, then about size bytes.
func (e event) data(size int) string {
	for !utf8.RuneStart(filler[size]) {
		size--
	}
	body := filler[:size]
	head := strconv.FormatUint(uint64(e.pub), 10) + " " + strconv.FormatUint(uint64(e.seq), 10) + " " + strconv.FormatInt(int64(e.at), 10)
	return head + " " + strconv.FormatUint(uint64(checksum(head, body)), 36) + "\n" + body
}

func checksum(head, body string) uint32 {
	sum := crc32.ChecksumIEEE([]byte(head))
	return crc32.Update(sum, crc32.IEEETable, []byte(body))
}

// parseEvent parses the result of data. ok is false if a single byte differs.
func parseEvent(data string) (e event, ok bool) {
	line, body, ok := strings.Cut(data, "\n")
	if !ok {
		return e, false
	}
	end := strings.LastIndexByte(line, ' ')
	if end < 0 {
		return e, false
	}
	head, sum := line[:end], line[end+1:]
	if n, err := strconv.ParseUint(sum, 36, 32); err != nil || uint32(n) != checksum(head, body) {
		return e, false
	}
	var fields [3]uint64 // the checksum guarantees their form
	for i := range fields {
		var field string
		field, head, _ = strings.Cut(head, " ")
		fields[i], _ = strconv.ParseUint(field, 10, 64)
	}
	return event{uint32(fields[0]), uint32(fields[1]), time.Duration(fields[2])}, true
}
