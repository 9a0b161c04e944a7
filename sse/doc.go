// Package sse implements Server-Sent Events as WHATWG HTML §9.2 defines them:
// the wire format in both directions, the server's side of a stream, and an
// EventSource for Go programs. It depends on the standard library alone.
//
// # Promises
//
// Encoding ([AppendEvent], [AppendComment], [AppendRetry], [AppendID]) appends
// whole blocks to a buffer and allocates nothing else. A conforming parser reads
// back what was encoded, except that CR and CRLF become LF, and bytes that are not
// UTF-8 become U+FFFD. A value that the format cannot carry is an error
// ([ErrInvalidField]); it is never escaped or dropped, so no field can inject
// another.
//
// Decoding ([Read], [Decoder]) follows §9.2.5–9.2.6 to the letter, returns an
// event as soon as the byte that ends it has arrived, and holds no more than its
// read limit in memory.
//
// A server's [Stream] ([Accept]) works on any [http.ResponseWriter] that an
// [http.ResponseController] can flush, sends its headers at once, survives the
// server's own timeouts, and is safe for concurrent use.
//
// A [Client] keeps one logical stream alive over any number of connections. It
// reconnects and resumes with Last-Event-ID, and stops only when the server or the
// caller ends the stream, or when another attempt could do harm. The loop owns
// all goroutines and connections that it starts: none is left when the range over
// [Client.Events] ends.
//
// # Reconnecting
//
// A Client connects again after a network error, at the end of a stream, and
// after status 408, 425, 429 and 5xx. Everything else ends the loop with an error:
// 204, any other status, a response that is not an event stream, an event beyond
// the read limit, and any failure of a request that must not be sent again.
//
// A connection has worked if it brought an event or stayed open for 5 s. After
// one that worked, the Client waits for exactly the reconnection time: the
// server's latest retry field, else [Client.ReconnectionTime]. The server's value
// is kept between 100 ms (or ReconnectionTime, if that is shorter) and
// [Client.MaxBackoff], so that "retry: 0" does not cause a flood of connections. Only
// a negative ReconnectionTime means no wait.
//
// After the n-th failure in a row it adds a random time. The wait is then between
// the reconnection time and 2ⁿ times as much, or MaxBackoff. A Retry-After field
// (RFC 9110 §10.2.3), in seconds or as a date and with any of the statuses above,
// replaces a shorter reconnection time for that wait, up to an hour.
package sse
