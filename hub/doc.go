// Package hub delivers the events of a log to subscribers.
//
// # Promises
//
//   - Publish returns when the log has the events: what it acknowledges,
//     subscribers get. A record that [Check] refuses reaches nobody.
//   - Every subscriber sees the events it asked for in log order, each once,
//     whether they were there when it came or are published while it listens.
//     What retention has dropped before it could be sent is told by an event
//     of type [GapType], and delivery goes on after it.
//   - What [Hub.Ban] bans is withheld from all subscribers while it lasts. They pass
//     it, so that nothing comes out of order afterwards.
//   - A subscriber is a place in the log. A slow one costs nobody anything and
//     holds nothing but its place: it reads on from the log when it is ready.
//   - Drain ends every subscriber at a moment of its own.
//   - Every open stream is listed, with who reads it and how far it is, and
//     anybody in the program may end it, between two events.
//
// The hub does not know how events leave: package httpapi writes them to
// streams, and a Go program ranges over [Hub.Subscribe].
package hub
