//go:build !linux

package eventlog

import "time"

// slept would return how long the machine has slept; it does not know.
func slept() (d time.Duration, known bool) { return 0, false }
