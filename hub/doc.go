// Package hub delivers the events of a log to subscribers.
//
// It stands between an event log (package eventlog) and the code that carries events to
// clients: it finds the subscriptions that an event matches, encodes the event once for
// all that asked for the same, and lets each subscriber continue from its own position.
// It knows nothing about HTTP. Package edge writes streams as responses, package
// internal/park writes idle ones without a goroutine each, and a Go program ranges over
// [Hub.Subscribe].
//
// # Use
//
// [New] returns a hub on an open log. Publish with [Hub.Publish]. There are three ways to
// receive:
//
//   - [Hub.Subscribe] yields events to Go code, first retained ones and then live ones.
//   - [Hub.Retained] yields only what the log holds now.
//   - [Hub.Stream] encodes events as the bytes of one response. [Stream.Serve] writes
//     them from the caller's goroutine. A loop that writes many streams calls
//     [Stream.Peek] and [Stream.Advance].
//
// To stop, call [Hub.Drain], then [Hub.Close], then close the log.
//
// For operators, [Hub.Streams] lists open streams and [Hub.End] ends some, [Hub.Ban]
// withholds topics, [Hub.Delete] removes events, and [Hub.Stats] returns figures.
//
// # Promises
//
//   - Publish returns once the log has the events. They are then as durable as the log
//     makes them, and subscribers will receive them. If [Check] refuses one record of a
//     call, none of the call is published.
//   - A subscriber receives the events it asked for in log order, each once, whether they
//     were in the log before or are published while it listens. Where retention has
//     dropped events that it asked for, it receives an event of type [GapType] and then
//     the oldest retained events.
//   - While a ban lasts, all subscribers pass the events that [Hub.Ban] withholds, and do
//     not receive them later.
//   - A slow subscriber delays neither publishers nor other subscribers. It holds its
//     position and at most one page or batch of the log, and reads on when it is ready.
//   - Drain ends each subscriber at a random time of its own, so that clients do not all
//     reconnect at once.
//   - Every open stream is listed with its peer and its progress ([Hub.Streams]), and any
//     goroutine may end it between two events ([Hub.End], [Stream.End]).
//   - What clients make the hub hold is counted in [Options].Budget. A subscription or
//     publish for which there is no room is refused with [ErrOverBudget] or
//     [ErrTooManySelectors].
//   - The methods of a [Hub] may be called by several goroutines at once.
//
// # Expectations
//
//   - The log stays open until Close has returned. If the log fails, the hub stops
//     delivering: [Hub.Done] is closed and [Hub.Err] returns the reason. It does not
//     start again.
//   - Events are deleted by [Hub.Delete] and [Hub.DeleteID], not in the log directly, or
//     cached pages may still deliver them.
//   - The strings and byte slices of published records are not modified afterwards.
//   - One goroutine at a time uses a [Stream], apart from [Stream.End] and
//     [Stream.OnOver]. The caller closes it.
//   - Callbacks, such as the one of [Hub.Watch], do not block.
//
// docs/architecture.md gives the order in which locks are taken ("Locks").
package hub
