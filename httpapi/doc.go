// Package httpapi is the hub's native HTTP API: publish, subscribe, read, and
// health, as handlers that mount on any mux.
//
// # Promises
//
//   - A 2xx to a publisher means that the hub's log has the event. Anything
//     else is problem+json (RFC 9457) with a sentence that says what to do,
//     and nothing was published, save where it says that the outcome is
//     unknown.
//   - A stream's first block is its reconnection time and its position in the
//     log, or a gap, so that it resumes exactly wherever it breaks.
//   - An EventSource is never closed for good by accident: a stream that
//     cannot be served now is answered with 200 and a time to come back, since
//     a browser gives up for ever on any other status (WHATWG HTML §9.2.3).
//   - A stream ends as a broken response does unless its client is not to come
//     back, since some clients take a regular end for the last word.
//   - Nothing that one client sends changes what another's bytes mean.
//
// [New] serves the API itself; [Access] decides which hosts and origins get
// that far.
package httpapi
