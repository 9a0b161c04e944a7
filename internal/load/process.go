package load

import (
	"fmt"
	"time"

	"github.com/shirou/gopsutil/v4/process"
)

// A usage is what processes have used so far: CPU time, and memory in bytes.
type usage struct {
	user, system time.Duration
	rss, pss     int64
}

// processes are the server's processes on this machine.
type processes []*process.Process

func openProcesses(pids []int) (ps processes, err error) {
	for _, pid := range pids {
		p, err := process.NewProcess(int32(pid))
		if err != nil {
			return nil, fmt.Errorf("--pid %d: %w", pid, err)
		}
		ps = append(ps, p)
	}
	return ps, nil
}

// cpu returns the processes' CPU time.
func (ps processes) cpu() (u usage, err error) {
	for _, p := range ps {
		t, err := p.Times()
		if err != nil {
			return u, fmt.Errorf("read the processor time of process %d: %w", p.Pid, err)
		}
		u.user += time.Duration(t.User * float64(time.Second))
		u.system += time.Duration(t.System * float64(time.Second))
	}
	return u, nil
}

// memory returns the processes' memory. PSS counts shared memory in part, and is 0 if the
// system does not report it.
func (ps processes) memory() (u usage, err error) {
	for _, p := range ps {
		info, err := p.MemoryInfo()
		if err != nil {
			return u, fmt.Errorf("read the memory of process %d: %w", p.Pid, err)
		}
		u.rss += int64(info.RSS)
		u.pss += pss(p)
	}
	return u, nil
}
