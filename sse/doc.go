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
//
// # Reconnecting
//
// A Client connects again after a network error, at the end of a stream, and
// after status 408, 425, 429 and 5xx. All else ends the loop with an error: 204,
// any other status, an answer that is no event stream, an event beyond the
// read limit, and whatever breaks a request that must not be sent again.
//
// After a connection that worked, which brought an event or stayed open for 5 s,
// the Client waits for exactly the reconnection time: the server's latest
// retry field, else [Client.ReconnectionTime]. The server's value is held
// between 100 ms (or ReconnectionTime, if that is shorter) and
// [Client.MaxBackoff], so that "retry: 0" does not make a flood of
// connections. Only a caller that asks for no wait, by a negative
// ReconnectionTime, gets none.
//
// After the n-th failure in a row it adds a random time, which makes the wait
// anything between the reconnection time and 2ⁿ times as much, or MaxBackoff.
// A Retry-After field (RFC 9110 §10.2.3), in seconds or as a date and with any
// of the statuses above, takes the place of a shorter reconnection time for
// that wait, up to an hour.
package sse
