// Package park serves streams that are idle most of the time without a goroutine, a
// buffer or an http.Request for each. It takes over the connection of a response and
// writes the stream with epoll.
//
// # Use
//
// [New] makes a [Lot]. A handler asks [Lot.Suits] whether the stream of a request can be
// parked, and calls [Lot.Take] once the headers of the response have been sent. If Take
// reports true, the handler returns; otherwise it serves the stream itself. [Lot.Close]
// ends what is left.
//
// # Promises
//
//   - A parked stream is a descriptor in an epoll set, a [hub.Stream] and a few words. A
//     few loops, the shards, write all of them, and none blocks on a peer: a stream whose
//     socket is full waits until the peer has read something.
//   - Caught-up streams that asked for the same are written in one pass, as a group. A group
//     whose pass took long rests for as long, so that events that come meanwhile share the
//     next write.
//   - The bytes of a window or page are written without a copy. A stream whose socket is
//     full holds an offset and no part of a window. It gives up its page when pages are
//     short of memory, see feed.Cursor.Rest.
//   - A stream ends when its peer has closed the connection, or its half of it; when the
//     peer accepts not one byte for the write timeout while there is something to send;
//     when the peer sends more than 64 KiB, which is discarded; or when the hub ends it.
//     Its response gets a last chunk only if the end is final, see [hub.IsFinal].
//   - Its descriptor has one owner: the goroutine that parks it until the shard has
//     accepted the stream, then the shard. Only the owner closes it.
//   - A stream that has been silent for the heartbeat interval sends a heartbeat.
//     Heartbeats are spread in time, so that streams opened or written to at once do not
//     send theirs at once.
//   - A parked stream counts 3 KiB as memory of connections, which its connection counted
//     before. It is never refused for lack of memory, because it takes less than the
//     connection did.
//   - The shards end with the hub, or with [Lot.Close].
//
// # Expectations
//
// Parking needs Linux and an unencrypted HTTP/1 connection that the handler may hijack.
// For anything else [Lot.Suits] reports false.
package park

import (
	"log/slog"
	"time"

	"github.com/tidings-sse/tidings/budget"
)

// Options configures a [Lot]. Heartbeat, WriteTimeout and Logger are required.
type Options struct {
	Heartbeat    time.Duration // after how long without data a stream sends a heartbeat; must be positive
	WriteTimeout time.Duration // after how long a stream ends whose peer accepts not one byte; must be positive
	Retry        time.Duration // reconnection time, with jitter up to five times that, for a client whose stream cannot be parked
	Logger       *slog.Logger
	Held         *budget.Share // the share of connections' memory in which parked streams are counted; nil: they are not
	Shards       int           // number of shards; 0: one for each processor that Go may use
}
