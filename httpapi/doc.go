// Package httpapi is the hub's native HTTP API: publish, subscribe, read, and health,
// as handlers that mount on any mux.
//
// # Promises
//
//   - A 2xx to a publisher means that the hub's log has the event. Any other answer
//     is problem+json (RFC 9457) with a sentence that says what to do. Nothing was
//     published then, unless the sentence says that the outcome is unknown.
//   - A stream's first block is its reconnection time and its position in the log,
//     or a gap, so that its client can resume exactly, wherever the stream breaks.
//   - An EventSource is never closed for good by accident. If the API cannot serve
//     a stream now, it answers 200 with a reconnection time, because a browser
//     never retries after any other status (WHATWG HTML §9.2.3).
//   - A stream ends as a broken response, because some clients do not reconnect
//     after a regular end. Only a stream whose client should stay away ends
//     regularly.
//   - Nothing that one client sends changes the meaning of what another receives.
//
// [New] serves the API itself; [Access] decides which hosts and origins get that far.
package httpapi
