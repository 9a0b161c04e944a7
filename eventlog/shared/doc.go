// Package shared is an event log that several nodes share. An engine, such as a message
// broker or a database, holds one ordered sequence of entries; each node follows the
// sequence and applies every entry to a copy of its own, a [disklog.Log]. An engine
// implements [Sequence]; package sequencetest tests that.
//
// # Promises
//
// A [Log] keeps every promise of package eventlog, on all nodes together:
//
//   - All nodes have the same events, in one order, with the same ids and times, and the
//     same verdict on each key. What an entry means depends on the entries before it
//     alone, so nodes need no leader and do not talk to each other to agree.
//   - Append returns when the engine has the events as durably as [Limits].Durable says,
//     and this node's copy has applied them. Other nodes apply them within milliseconds;
//     Await waits for that.
//   - If the engine's answer is lost, the node submits the same entry again. The entry
//     counts once. So the death of an engine's leader delays a publisher, but is no error.
//   - Append returns eventlog.ErrUnavailable if nothing was submitted, because the engine
//     cannot be reached or too much waits already, and eventlog.ErrUncertain if the
//     context ends while the outcome is unknown.
//   - No id is used twice. If an engine loses its newest entries and assigns their numbers
//     again, a new term begins, which is part of every id. A position in the part that
//     was lost is an eventlog.LostError, not another event.
//   - Facts, such as revocations, are on every node in the order of the log; see [Facts].
//   - A node that joins, or was away, needs nothing but the sequence. Its copy is a cache:
//     it may be deleted at any time, and is not synced.
//   - Memory is bounded: the queue of publishers by [Options].Queue, facts by
//     [Options].Facts, and the rules' memory of recent entries by 40 MiB.
//
// # Entries
//
// An entry is a group of records that one node coalesced, or a control record. The event
// at index i of entry n is at position n<<16 | i, so a node knows every id from the
// entry alone. Positions are sparse; each position between two events is valid.
//
// Each entry carries its author's session and a counter, which together name it, and
// "checked", the number of the last entry that the author had applied when it looked at
// its copy. Three rules decide what an entry does. Each depends only on the entries
// between checked and the entry itself, and these are at most 1,024, the span:
//
//  1. An entry is void if more entries than that, or more than 2¹⁸ records, stand between
//     checked and the entry, or if its epoch or term is not the current one. Its author
//     sees that, and submits its records anew.
//  2. An entry is a repetition if an entry of the same name stands between checked and it.
//     It does nothing.
//  3. A record with a key is an event unless the key stands in an entry, neither void nor a
//     repetition, between checked and its own entry, or earlier in its own entry. What
//     has become of that record since does not matter. Keys up to checked were looked up by the
//     author, which does not submit a record whose key its copy has.
//
// Times are the engine's. They never decrease: an entry also carries the latest time its
// author knows of, so that a node which has not seen the entries before knows it too.
//
// # Retention
//
// A trim entry moves the origin. Its author decides where to, by its own options, so nodes
// with different options do no harm; the strictest counts. The trim repeats what a node
// must know to begin there: epoch, terms and level. Facts that would go with the entries
// that are no longer needed are written again before. The sequence is cut at a trim entry that
// stands at least 2,048 entries before the origin. A node that joins begins with that
// entry: it then agrees with all others on everything after the origin.
package shared
