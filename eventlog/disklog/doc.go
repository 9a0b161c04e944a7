// Package disklog keeps an event log on disk, so that it survives restarts, crashes
// and power cuts.
//
// # Promises
//
// It keeps every promise of package eventlog, and these:
//
//   - Append returns when its events are on stable storage. Concurrent callers share
//     one fsync. With [Options.Relaxed], Append returns when the operating system has
//     the events: the end of the process loses none of them, but a power cut may lose
//     the newest.
//   - An event is whole or absent. Open cuts off a torn end, which was never
//     acknowledged. Damage anywhere else is [ErrDamaged], with an error text that says
//     what to do. A log never starts empty where there was one.
//   - Positions are used once, even after an unclean stop: they then continue beyond
//     those that had been reserved. A position in such a hole is valid, and reading
//     from it continues with the next event.
//   - Time never runs backward along the log, whatever the clock does.
//   - Finding a position by time or publisher's id, or the newest events of a topic,
//     is a seek at any size. Reading some topics costs what they hold, whatever the
//     others hold.
//   - Readers and writers do not wait for each other. Retention works in the
//     background in small steps, so events beyond its limits may be readable for a
//     moment longer.
//   - Memory is bounded by [Options.Memory].
//   - With less than [Options.MinFree] left on the file system, appending returns
//     eventlog.ErrNoSpace, and works again once there is more space. If the disk fills
//     up nevertheless, the store waits; it does not fail.
//   - The first write or sync that fails is the last: from then on nothing reaches the
//     disk, every call returns eventlog.ErrFailed, and the log can be opened again as
//     after a power cut.
//   - Only one process can have the log open. [Open] in another one returns
//     [ErrInUse].
//   - Deleted events disappear from reads at once, and from the disk soon after, when
//     the files that held them have been rewritten. The hash of a publisher's id stays
//     until retention drops the event's position, so that a stream can resume from it.
//   - Space of dropped events is freed, in whole files of 32 MiB, when they amount to a
//     quarter of what is retained, and at least to 32 MiB. The directory also holds up to
//     192 MiB of write-ahead log.
//
// # On the disk
//
// The directory holds log.json (format, epoch, and which files must be there), db, the
// store (github.com/cockroachdb/pebble), ballast, a file that is removed when the disk is
// full, and .gitignore. A copy of the directory, made while no process has it open, is a
// backup. Open a restored backup with [Options.NewEpoch].
//
// The store writes an event of about 128 bytes or more to the write-ahead log and to a
// blob file. It writes the event once more only if enough of that file was dropped or
// some of it deleted. The tables, which are compacted, hold keys, indexes, and the
// values' places in the blob files.
package disklog
