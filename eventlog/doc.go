// Package eventlog defines the log of a hub: one ordered sequence of retained events,
// behind an interface that every engine implements. The engine in this package,
// [Memory], keeps its events in memory. Other engines are packages below this one.
//
// # Promises of every engine
//
//   - Append returns when its events are as durable as the engine makes them,
//     all of them and in the given order. Each gets an [ID] greater than all before
//     it; no ID is used twice.
//   - Reads return committed events only, whole and in order, from the one after
//     the given position. Tail continues as events are appended, without a hole or
//     repeat. Readers never block writers.
//   - A position before the retained events is a [TrimmedError], one beyond the end
//     [ErrAhead], one of another epoch [ErrEpoch], and one that the engine has lost a
//     [LostError]. Events are never skipped silently.
//   - A record whose Key belongs to a retained event is not appended again: equal
//     content returns the first result, other content [ErrKeyReused].
//   - When space is short, appending returns [ErrNoSpace] until there is space again.
//     Reading continues.
//   - If a write or sync fails, the log stops: appending returns [ErrFailed] from then
//     on.
//
// Package logtest tests these promises. An engine may keep the strings and byte slices
// of a [Record] and share them among readers, so nobody may modify them. The caller may
// reuse the slice of Records itself once Append has returned, unless the error is
// [ErrUncertain].
package eventlog
