// Package descriptors reports how near the process is to its limit on open files.
//
// Connections, listeners and the store share one limit (RLIMIT_NOFILE). Streams stay open,
// so they would use it up. They must leave [Reserve] free for publishers, operators and the
// store's files.
package descriptors

// Usage is how many descriptors a process has open, and how many it may have. The zero
// value means that the system does not say.
type Usage struct{ Open, Limit int }

// Reserve returns how many descriptors of a limit streams must leave free: 512, or a
// quarter of the limit if that is less.
func Reserve(limit int) int { return min(limit/4, 512) }

// Room reports whether there is a descriptor for another stream. The stream's own
// connection already counts as open. If the system does not say, there is.
func (u Usage) Room() bool { return u.Limit == 0 || u.Open <= u.Limit-Reserve(u.Limit) }

// Connections returns how many more connections may be accepted, at most 64. All
// connections together must leave half of the [Reserve] to the store; the other half is
// for publishers and operators. If the system does not say, it returns 64.
func (u Usage) Connections() int {
	const most = 64
	if u.Limit == 0 {
		return most
	}
	return min(max(0, u.Limit-Reserve(u.Limit)/2-u.Open), most)
}
