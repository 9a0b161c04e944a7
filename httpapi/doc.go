// Package httpapi is the hub's native HTTP API: publish, subscribe, read, and
// health, as handlers that mount on any mux.
//
// # Promises
//
//   - A 2xx to a publisher means that the hub's log has the event. Anything
//     else is problem+json (RFC 9457) with a sentence that says what to do,
//     and nothing was published, save where it says that the outcome is
//     unknown.
//   - A stream's first bytes are its reconnection time and its place in the
//     log, so that it resumes exactly wherever it breaks.
//   - An EventSource is never closed for good by accident: a stream that
//     cannot be served now is answered with 200, a time to come back and the
//     end, since a browser gives up for ever on any other status (WHATWG HTML
//     §9.2.3).
//   - Nothing that one client sends changes what another's bytes mean.
//
// [New] serves the API itself; [Access] decides which hosts and origins get
// that far.
package httpapi
