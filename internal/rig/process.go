package rig

import (
	"fmt"
	"time"

	"github.com/shirou/gopsutil/v4/process"
)

// A Usage is what processes have used so far.
type Usage struct {
	User, System time.Duration // processor time
}

// CPU returns the processor time in both modes.
func (u Usage) CPU() time.Duration { return u.User + u.System }

// A Footprint is the memory that processes have, in bytes.
type Footprint struct {
	RSS int64 // resident memory
	PSS int64 // the same, with shared memory in part; 0 if the system does not report it
}

// Processes are some processes of this machine, usually a server's.
type Processes []*process.Process

// OpenProcesses returns the processes with the given ids. It returns an error if there is
// no process with one of them.
func OpenProcesses(pids ...int) (ps Processes, err error) {
	for _, pid := range pids {
		p, err := process.NewProcess(int32(pid))
		if err != nil {
			return nil, fmt.Errorf("process %d: %w", pid, err)
		}
		ps = append(ps, p)
	}
	return ps, nil
}

// Usage returns what all processes together have used.
func (ps Processes) Usage() (u Usage, err error) {
	for _, p := range ps {
		t, err := p.Times()
		if err != nil {
			return u, fmt.Errorf("read the processor time of process %d: %w", p.Pid, err)
		}
		u.User += time.Duration(t.User * float64(time.Second))
		u.System += time.Duration(t.System * float64(time.Second))
	}
	return u, nil
}

// Footprint returns the memory of all processes together.
func (ps Processes) Footprint() (f Footprint, err error) {
	for _, p := range ps {
		info, err := p.MemoryInfo()
		if err != nil {
			return f, fmt.Errorf("read the memory of process %d: %w", p.Pid, err)
		}
		f.RSS += int64(info.RSS)
		f.PSS += pss(p)
	}
	return f, nil
}
