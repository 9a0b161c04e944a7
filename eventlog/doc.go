// Package eventlog is the log at the heart of a hub: one ordered, retained
// sequence of events, behind an interface that every engine satisfies. The
// engine here, [Memory], keeps its events in memory; those that keep them on
// disk or in a cluster are packages of their own, below this one.
//
// # Promises of every engine
//
//   - Append returns when its events are as durable as the engine makes them,
//     all of them in the order given; each then has an [ID] greater than any
//     before it, never used twice.
//   - Reads see committed events only, whole, in order, exclusive of the place
//     they start after. Tail is Read and then what comes, without hole or
//     repeat. Readers never hold up writers.
//   - A place that retention has passed is [ErrTrimmed], one beyond the end
//     [ErrAhead], one of another log's life [ErrEpoch]: never a silent skip.
//   - A record with a Key that is still retained is not appended again: equal
//     content gives the first result, other content [ErrKeyReused].
//   - Where space runs short, appending is [ErrNoSpace] while reading goes on,
//     until there is space again.
//   - A write or sync that fails ends the log: [ErrFailed] from then on.
//
// Package logtest holds the tests that say all this in code. An engine may
// hold on to what the records it is given refer to, and hand the same out to many
// readers: nobody changes that. The slice that they came in is its caller's again
// once Append has returned, unless with [ErrUncertain].
package eventlog
