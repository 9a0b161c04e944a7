// Package sse implements Server-Sent Events as WHATWG HTML §9.2 defines them:
// the wire format in both directions, the server's side of a stream, and an
// EventSource for Go programs. It depends on the standard library alone.
//
// # Promises
//
// Encoding ([AppendEvent], [AppendComment], [AppendRetry], [AppendID]) appends
// whole blocks to a buffer and allocates nothing else. Whatever is appended is
// read back by a conforming parser as what was put in; what the format cannot
// carry is an error ([ErrInvalidField]) and is never escaped or dropped, so
// that no field can break out into another.
//
// Decoding ([Read], [Decoder]) follows §9.2.5–9.2.6 to the letter, hands an
// event over as soon as the byte that ends it has arrived, and holds no more
// than its read limit in memory.
//
// A server's [Stream] ([Accept]) works on any [http.ResponseWriter] that an
// [http.ResponseController] can flush, sends its headers at once, survives the
// server's own timeouts, and is safe for concurrent use.
//
// A [Client] keeps one logical stream alive over any number of connections:
// it reconnects, resumes with Last-Event-ID, and stops only when the server
// says so, the caller does, or going on could do harm. Its loop owns all it
// starts: when the range over [Client.Events] ends, nothing runs on.
package sse
