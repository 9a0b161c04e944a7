package park

import (
	"strconv"

	"github.com/tidings-sse/tidings/hub"
)

// Chunks is the framing of HTTP/1.1 (RFC 9112 §7.1): what a stream sends at once is a
// chunk, so that any number of them may be written together.
var Chunks = &hub.Framing{Append: appendChunk, End: "0\r\n\r\n"}

// appendChunk appends what add appends, as a chunk. The size comes first but is known
// last, so appendChunk reserves room for the longest and moves the chunk to close what is
// left.
func appendChunk(dst []byte, add func(dst []byte) []byte) []byte {
	var size [len("7fffffffffffffff\r\n")]byte
	start := len(dst)
	dst = add(append(dst, size[:]...))
	chunk := dst[start+len(size):]
	n := copy(dst[start:], append(strconv.AppendInt(size[:0], int64(len(chunk)), 16), "\r\n"...))
	n += copy(dst[start+n:], chunk)
	return append(dst[:start+n], "\r\n"...)
}
