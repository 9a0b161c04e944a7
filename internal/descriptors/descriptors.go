// Package descriptors reports how near the process is to its limit on open files.
//
// Connections, listeners and the store share one limit (RLIMIT_NOFILE). Streams
// stay, so they would take all of it; they must leave [Reserve] free, with which
// publishers and operators get through and the store opens its files.
package descriptors

// Usage is how many descriptors a process has open, and may have.
type Usage struct{ Open, Limit int }

// Reserve returns how many descriptors of a limit streams leave free: a quarter of a
// low limit, and 512 of any other.
func Reserve(limit int) int { return min(limit/4, 512) }

// Room reports whether there is one left for another stream. It counts what the stream's
// connection has taken as open. Where the system does not say, there is.
func (u Usage) Room() bool { return u.Limit == 0 || u.Open <= u.Limit-Reserve(u.Limit) }

// Connections returns how many more connections may be accepted: all connections
// together leave half of the [Reserve] to the store, and streams the other half to
// publishers and operators. It is at most 64, also where the system does not say.
func (u Usage) Connections() int {
	const most = 64
	if u.Limit == 0 {
		return most
	}
	return min(max(0, u.Limit-Reserve(u.Limit)/2-u.Open), most)
}
