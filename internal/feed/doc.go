// Package feed owns which bytes are pending for each stream.
//
// # Use
//
// [New] returns the [Set] of the feeds of one log. A subscriber joins the feed of its
// [Request] with [Set.Join]. A stream opens a [Cursor] in the feed: [Cursor.Peek] returns
// the bytes to write next, and [Cursor.Advance] moves on. A loop that writes many streams
// puts those that are caught up into a [Group] for each feed.
//
// # Promises
//
//   - A cursor passes the events that its feed asks for and its grant shows in log order,
//     each once, whether they come from the window or from the log, and wherever its peer
//     cuts what it accepts.
//   - An event is encoded once for each [Form], and once more for each page of the log
//     that is read.
//   - A cursor that is caught up holds an offset. One that lags holds no part of a window
//     between two writes, and at most one page of the log.
//   - The pump, which routes events, waits for no subscriber. Reads of the log take turns in
//     the [Slots], at the pace of internal/pace.
//   - What windows, pages and matches hold is counted in the budget where it is held, and
//     what feeds ask for in an Account of package internal/route.
//
// # Locks
//
// Set.mu is taken before Feed.mu, and before the lock of the pages. Wakers are called with
// the first two held, and may take a lock of their own inside.
package feed
