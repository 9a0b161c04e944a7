// Package pace keeps background work from delaying live delivery.
//
// # Promises
//
//   - While events are being published, background work rests as long as it has worked.
//     Where more of it runs at once than half of the processors, each part rests longer.
//   - On a quiet hub it does not rest, and only yields to other goroutines.
//   - Work that was expected to be short, and is not, gives its slot back and goes on among
//     the long work, see [Activity.BeginShort].
//
// One goroutine at a time may use a [Pace].
package pace
