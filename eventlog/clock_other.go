//go:build !linux

package eventlog

import "time"

// slept reports that the time the machine has slept is not known.
func slept() (d time.Duration, known bool) { return 0, false }
