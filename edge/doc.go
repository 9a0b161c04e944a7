// Package edge holds what all HTTP dialects of a hub share: it bounds requests, checks their
// origins and grants, answers with errors, and serves streams.
//
// A dialect, such as package httpapi or package mercure, parses requests into
// [hub.Subscription] and [eventlog.Record], and leaves the rest to an [Edge]. Dialects know
// nothing of each other.
//
// # Use
//
// [New] returns the edge of a hub. A dialect's handler is wrapped by [Bound]. To serve a
// stream it calls [Edge.Stream]; to publish it reads the body with [Edge.Body], asks
// [Edge.MayPublish], and calls [hub.Hub.Publish]. It answers each error with [Edge.Refuse].
// [Access] stands in front of all dialects.
//
// # Promises
//
//   - An error is answered with problem+json (RFC 9457) and a sentence that says what to
//     do.
//   - An EventSource is never closed for good by accident. If a stream cannot be served
//     now, the answer is 200 with a reconnection time, because a browser never retries
//     after any other status (WHATWG HTML §9.2.3).
//   - A stream ends as a broken response, because some clients do not reconnect after a
//     regular end. Only a stream whose client should stay away ends regularly.
//   - Heads, bodies and answers are bounded in time and bytes, and all that they take is
//     counted in the budget.
package edge
