// Package park serves streams that are idle most of the time without a
// goroutine, a buffer or a request for each.
//
// # Promises
//
//   - A parked stream is a descriptor in an epoll set, a [hub.Stream] and a few
//     words. A few loops, the shards, write to all of them, and none waits for
//     a peer: a full socket waits for its peer to take something.
//   - Streams that ask for the same and are caught up are written to in one go.
//   - What is written is what the window or the page holds, uncopied. A stream
//     whose socket is full holds an offset, and pins none of it.
//   - A stream ends when its peer has gone, or has closed its half; when it takes
//     not one byte for the write timeout while there is something to send; when
//     it sends more than 64 KiB, which is discarded; or when the hub ends it.
//     Its response gets a last chunk only if the end is for good.
//     Its descriptor has one owner: the goroutine that parks it until the shard
//     has taken the stream in, then the shard. Only the owner closes it.
//   - A stream that has been silent for the heartbeat says so. Heartbeats are
//     spread, so that streams opened or written to at once do not beat at once.
//   - What a parked stream takes counts as memory of connections, which its connection did
//     before. It is never refused: it takes less than that.
//   - The shards end with the hub, or with [Lot.Close].
//
// Parking takes Linux and a connection that speaks HTTP/1 in the clear. For all
// else [Lot.Take] says no, and the caller serves the stream itself.
package park

import (
	"log/slog"
	"time"

	"github.com/tidings-sse/tidings/budget"
)

// Options configures a [Lot].
type Options struct {
	Heartbeat    time.Duration // how long a stream may be silent
	WriteTimeout time.Duration // how long a stream may take no byte
	Retry        time.Duration // after how long, at least, a client comes back that was turned away
	Logger       *slog.Logger
	Held         *budget.Share // of the memory of connections, where what is parked counts; nil: it does not
	Shards       int           // 0: as many as there are processors
}
