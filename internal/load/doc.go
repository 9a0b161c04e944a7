// Package load drives a server of event streams and measures it: `tidings bench`.
//
// # Promises
//
// What is measured is checked. Every event carries its number, its publisher,
// the moment it was due and a checksum over all of its data. Every stream of a
// topic has to bring every event of the topic once, whole, and in the same
// order as the topic's other streams, and each publisher's events in the order
// in which they were sent. There is no way to leave the checks out, and a run
// that fails one is no result: its report says what is missing, doubled, out of
// order or torn.
//
// Latencies count from the moment at which an event was due, not from when the
// load got round to sending it, so that a server that stalls its publishers
// does not hide what they would have seen (coordinated omission).
//
// On Linux a few threads read all streams, each with an epoll set and one
// buffer. What an event's first stream brought is compared as bytes with what
// the others bring. Elsewhere, and for TLS, a goroutine reads each stream.
package load
