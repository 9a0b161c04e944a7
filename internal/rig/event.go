package rig

import (
	"bytes"
	"hash/crc32"
	"strconv"
)

// An Event is what the data of an event says about itself. A checksum shows whether the
// data is torn, or mixed with another event's.
type Event struct {
	Number    int64 // its number; counts from 0
	Publisher int64 // which publisher sent it
	At        int64 // when it was due or first sent, in nanoseconds by the sender's clock
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Append appends the event's data to dst: its fields and a checksum over everything else
// in decimal and hexadecimal digits, a space after each, and what body appends.
func (e Event) Append(dst []byte, body func(dst []byte) []byte) []byte {
	start := len(dst)
	for _, n := range [...]int64{e.Number, e.Publisher, e.At} {
		dst = strconv.AppendInt(dst, n, 10)
		dst = append(dst, ' ')
	}
	head := len(dst)
	dst = body(append(dst, "00000000 "...))
	sum := checksum(dst[start:head], dst[head+9:])
	const digits = "0123456789abcdef"
	for i := range 8 {
		dst[head+i] = digits[sum>>(28-4*i)&15]
	}
	return dst
}

func checksum(head, rest []byte) uint32 {
	return crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, rest)
}

// ParseEvent parses what Append appended. It reports false if any byte is wrong.
func ParseEvent(data []byte) (e Event, ok bool) {
	rest := data
	for _, field := range [...]*int64{&e.Number, &e.Publisher, &e.At} {
		if *field, rest, ok = cutInt(rest); !ok {
			return e, false
		}
	}
	if len(rest) < 9 || rest[8] != ' ' {
		return e, false
	}
	sum, ok := parseHex(rest[:8])
	return e, ok && sum == checksum(data[:len(data)-len(rest)], rest[9:])
}

// cutInt parses decimal digits and the space after them.
func cutInt(b []byte) (n int64, rest []byte, ok bool) {
	for i, c := range b {
		switch {
		case c == ' ' && i > 0:
			return n, b[i+1:], true
		case c < '0' || c > '9' || i > 18:
			return 0, b, false
		}
		n = n*10 + int64(c-'0')
	}
	return 0, b, false
}

func parseHex(b []byte) (n uint32, ok bool) {
	for _, c := range b {
		i := bytes.IndexByte([]byte("0123456789abcdef"), c)
		if i < 0 {
			return 0, false
		}
		n = n<<4 | uint32(i)
	}
	return n, true
}
