package edge

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/tidings-sse/tidings/budget"
)

// largestRoom is up to how many bytes a body's Content-Length is believed, and its memory
// taken at once.
const largestRoom = 64 << 10

// A Hold is the memory that one request has taken from the share for publishes, until
// it has been answered.
type Hold struct {
	share *budget.Share
	bytes int64
}

// Hold returns a hold that has taken nothing. The caller must release it.
func (e *Edge) Hold() Hold { return Hold{share: e.Budget.Share(budget.Publishes)} }

// Take takes n more bytes. The error is a 503 [Problem].
func (h *Hold) Take(n int64) error {
	if !h.share.Take(n) {
		return noMemoryProblem()
	}
	h.bytes += n
	return nil
}

// Release gives all of it back.
func (h *Hold) Release() { h.share.Give(h.bytes) }

func noMemoryProblem() *Problem {
	return NewProblem(http.StatusServiceUnavailable, "This hub holds as much for its clients as it may at the moment, and nothing was done: try again in a few seconds.")
}

// Body reads the whole body of a request, up to [Options].MaxBody bytes, into room if it
// fits there. held counts what it takes; release it after the answer, also if Body fails.
// Errors are for [Edge.Refuse]: 400 for a body that breaks off, 413, 415 for a
// Content-Encoding, 503 when there is no memory.
func (e *Edge) Body(w http.ResponseWriter, r *http.Request, room []byte, held *Hold) ([]byte, error) {
	if ce := r.Header.Get("Content-Encoding"); ce != "" && ce != "identity" {
		return nil, NewProblem(http.StatusUnsupportedMediaType, "Send the body without Content-Encoding.")
	}
	if r.ContentLength > e.MaxBody { // refused before a byte is read
		return nil, tooLargeProblem(e.MaxBody)
	}
	from := r.Body
	if r.ContentLength < 0 || r.ContentLength > largestRoom { // net/http reads no more than a small Content-Length
		from = http.MaxBytesReader(unwrapped(w), from, e.MaxBody)
	}
	body, err := readAll(from, r.ContentLength, room, held)
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	if _, told := errors.AsType[*Problem](err); err != nil && !tooLarge && !told {
		err = NewProblem(http.StatusBadRequest, "The body broke off: "+err.Error()+".")
	}
	return body, err
}

// ParseMediaType parses a Content-Type. A malformed one gives "", and its body is then
// the data.
func ParseMediaType(contentType string) (mediaType string, params map[string]string) {
	switch contentType {
	case "", "text/plain", "application/json", NDJSON, "application/x-www-form-urlencoded": // nearly all requests
		return contentType, nil
	}
	mediaType, params, _ = mime.ParseMediaType(contentType)
	return mediaType, params
}

// readAll reads length bytes into room if they fit. Otherwise it allocates only what it
// returns, because events keep that memory.
func readAll(r io.Reader, length int64, room []byte, held *Hold) ([]byte, error) {
	if length < 0 || length > largestRoom { // the client may never send that much
		return readGrowing(r, held)
	}
	if err := held.Take(length); err != nil {
		return nil, err
	}
	b := room
	if int64(cap(b)) < length {
		b = make([]byte, length)
	}
	b = b[:length]
	n, err := io.ReadFull(r, b)
	if errors.Is(err, io.EOF) { // with a length of 0
		err = nil
	}
	return b[:n], err
}

// readGrowing takes memory as the body arrives: at first 4 KiB, then as much again as
// has come.
func readGrowing(r io.Reader, held *Hold) (b []byte, err error) {
	for err == nil {
		if len(b) == cap(b) {
			more := max(len(b), 4<<10)
			if err := held.Take(int64(more)); err != nil {
				return nil, err
			}
			b = append(make([]byte, 0, len(b)+more), b...)
		}
		var n int
		n, err = r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return bytes.Clone(b), err
}

func tooLargeProblem(limit int64) *Problem {
	return NewProblem(http.StatusRequestEntityTooLarge,
		fmt.Sprintf("A body may have %d bytes. Publish a link to what is larger, or start the hub with a higher --max-body.", limit))
}
