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
//   - Nothing that one client sends changes the meaning of what another receives.
//
// What it shares with other dialects is package edge, which has promises of its own.
package httpapi
