//go:build !linux

package park

import (
	"net/http"

	"github.com/tidings-sse/tidings/hub"
)

// A Lot holds parked streams. Only Linux has epoll, so here it holds none.
type Lot struct{}

// New returns a lot for the streams of a hub.
func New(*hub.Hub, Options) *Lot { return new(Lot) }

// Suits returns false: no stream can be parked.
func (*Lot) Suits(http.ResponseWriter, *http.Request) bool { return false }

// Take returns false: the handler must serve the stream itself.
func (*Lot) Take(http.ResponseWriter, *hub.Stream) bool { return false }

// Close does nothing.
func (*Lot) Close() {}
