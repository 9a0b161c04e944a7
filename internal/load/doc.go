// Package load loads a server of event streams and measures it: `tidings bench`.
//
// # Promises
//
// Everything that is measured is checked. Every event carries its number, its publisher,
// the time when it was due and a checksum over all of its data. Every stream of a topic
// must receive every event of the topic once, whole, and in the same order as the topic's
// other streams, and each publisher's events in the order in which they were sent. The
// checks cannot be switched off, and the result of a run that fails one is invalid: its
// report counts events that are missing, doubled, out of order or torn.
//
// Latencies are measured from the time when an event was due, not from when it was sent,
// so that a server that stalls its publishers does not hide the delay (coordinated
// omission).
//
// On Linux a few threads read all streams, each with an epoll set and one buffer. The
// bytes of an event on the first stream that receives it are compared with the bytes on
// the others. Elsewhere, and for TLS and HTTP/2, a goroutine reads each stream.
package load
