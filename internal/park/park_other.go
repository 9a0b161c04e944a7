//go:build !linux

package park

import (
	"net/http"

	"github.com/tidings-sse/tidings/hub"
)

// A Lot holds parked streams: here, none.
type Lot struct{}

// New returns a lot for the streams of a hub.
func New(*hub.Hub, Options) *Lot { return new(Lot) }

// Suits reports whether a request's stream can be parked.
func (*Lot) Suits(http.ResponseWriter, *http.Request) bool { return false }

// Take parks the stream of a response whose headers have been sent.
func (*Lot) Take(http.ResponseWriter, *hub.Stream) bool { return false }

// Close waits for the streams to end.
func (*Lot) Close() {}
