// Package disklog is the event log on a disk: what a hub keeps across
// restarts, crashes and power cuts.
//
// # Promises
//
// It keeps every promise of package eventlog, and these:
//
//   - Append returns when its events are on stable storage. Callers at the same
//     time share one fsync. With [Options.Relaxed] they are with the operating
//     system instead: the death of the process loses none of them, a power cut
//     may lose the last ones.
//   - An event is whole or absent. A torn end, which no publisher was told of,
//     is cut on opening; damage anywhere else is [ErrDamaged], in a sentence
//     that says what helps. A log never starts empty where there was one.
//   - Positions are used once, also where a stop was unclean: they then go on
//     beyond what had been reserved. A place within such a hole is a place like
//     any other, and reading from it goes on with what follows.
//   - Time never runs backward along the log, whatever the clock does.
//   - Finding a place, by position, time or publisher's id, is a seek at any
//     size, and so is the newest of a topic. Reading some topics costs what they
//     hold, whatever others do.
//   - Readers wait for no writer and no writer for them. Retention works behind,
//     in small steps: what it is about to drop may be read a moment longer.
//   - Memory is bounded by [Options.Memory].
//   - With less than [Options.MinFree] left on the file system, appending is
//     eventlog.ErrNoSpace, and works again once there is more. A disk that runs
//     full all the same makes the store wait, not fail.
//   - The first write or sync that fails is the last: from then on nothing
//     reaches the disk, every call is eventlog.ErrFailed, and what is there can
//     be opened again as after a power cut.
//   - One process has the log open at a time; another one's [Open] is
//     [ErrInUse].
//   - What Delete took is out of every read at once and off the disk soon
//     after, when the files that held it have been rewritten. Of a publisher's id
//     a hash stays until retention passes the event's place, so that a stream can
//     resume from it.
//   - What retention dropped leaves the disk, by whole files of 32 MiB, when it
//     is a quarter of what is retained, and 32 MiB at least. Beside that and what
//     is retained, the directory has up to 192 MiB of write-ahead log.
//
// # On the disk
//
// The directory holds log.json (format, epoch, and what must be there), db, the
// store itself (github.com/cockroachdb/pebble), ballast, which gives way when
// the disk is full, and .gitignore. A copy of the directory, made while no
// process has it open, is a backup, to be opened with [Options.NewEpoch].
//
// In the store, an event of about 128 bytes or more is written to the write-ahead
// log, to a file of values, and once more only if enough of its file was dropped
// or some of it deleted. The tables, which are merged, hold keys, indexes, and
// where in which file a value is.
package disklog
