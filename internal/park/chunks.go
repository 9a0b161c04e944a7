package park

import (
	"strconv"

	"github.com/tidings-sse/tidings/hub"
)

// Chunks is the framing of HTTP/1.1 (RFC 9112 §7.1): what a stream sends at once is a
// chunk, so that any number of them may be written together.
var Chunks = &hub.Framing{Open: openChunk, Close: closeChunk, End: "0\r\n\r\n"}

// A chunkSize has room for the longest size line. The size comes first but is known last,
// so closeChunk moves the chunk's data to close the room that its size does not need.
type chunkSize [len("7fffffffffffffff\r\n")]byte

func openChunk(dst []byte) []byte { return append(dst, make([]byte, len(chunkSize{}))...) }

func closeChunk(dst []byte, start int) []byte {
	var size chunkSize
	data := dst[start+len(size):]
	n := copy(dst[start:], append(strconv.AppendInt(size[:0], int64(len(data)), 16), "\r\n"...))
	n += copy(dst[start+n:], data)
	return append(dst[:start+n], "\r\n"...)
}
