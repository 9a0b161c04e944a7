package eventlog

import (
	"syscall"
	"time"
	"unsafe"
)

// slept returns how long the machine has slept since it was booted. Go's runtime reads
// the monotonic clock, which stands still during sleep (clock_gettime(2)).
func slept() (d time.Duration, known bool) {
	boot, ok := clock(7) // CLOCK_BOOTTIME
	awake, also := clock(1)
	return boot - awake, ok && also
}

func clock(id uintptr) (time.Duration, bool) {
	var ts syscall.Timespec
	_, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, id, uintptr(unsafe.Pointer(&ts)), 0)
	return time.Duration(ts.Nano()), errno == 0
}
