package load

import (
	"strings"

	"github.com/tidings-sse/tidings/internal/rig"
)

// MinSize is the smallest size of an event's data, in bytes.
const MinSize = 64

// filler fills up the data. It needs no escapes in JSON.
var filler = strings.Repeat("the quick brown fox jumps over the lazy dog; ", 64)

// appendData appends size bytes for an event.
func appendData(dst []byte, e rig.Event, size int) []byte {
	end := len(dst) + size
	return e.Append(dst, func(dst []byte) []byte {
		for at := int(e.Number) % 45; len(dst) < end; at = 0 {
			rest := filler[at:]
			dst = append(dst, rest[:min(len(rest), end-len(dst))]...)
		}
		return dst
	})
}
