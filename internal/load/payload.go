package load

import (
	"bytes"
	"hash/crc32"
	"strconv"
	"strings"
)

// MinSize is the smallest size of an event's data, in bytes.
const MinSize = 64

// An event is what an event's data says.
type event struct {
	number    int64 // counts from 0 over all publishers
	publisher int64
	due       int64 // when it had to be sent, in nanoseconds since the run began
}

// filler fills up the data. It needs no escapes in JSON.
var filler = strings.Repeat("the quick brown fox jumps over the lazy dog; ", 64)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendData appends size bytes for the event: its fields, a checksum over everything
// else, and filler.
func (e event) appendData(dst []byte, size int) []byte {
	start := len(dst)
	for _, n := range [...]int64{e.number, e.publisher, e.due} {
		dst = strconv.AppendInt(dst, n, 10)
		dst = append(dst, ' ')
	}
	head := len(dst)
	dst = append(dst, "00000000 "...)
	for at := int(e.number) % 45; len(dst)-start < size; at = 0 {
		rest := filler[at:]
		dst = append(dst, rest[:min(len(rest), size-(len(dst)-start))]...)
	}
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

// parseData parses the output of appendData. It reports false if any byte is wrong.
func parseData(data []byte) (e event, ok bool) {
	rest := data
	for _, field := range [...]*int64{&e.number, &e.publisher, &e.due} {
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
