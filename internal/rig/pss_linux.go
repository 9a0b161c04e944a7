package rig

import "github.com/shirou/gopsutil/v4/process"

func pss(p *process.Process) int64 {
	maps, err := p.MemoryMaps(true)
	if err != nil || len(*maps) == 0 { // for example a process of another user
		return 0
	}
	return int64((*maps)[0].Pss) << 10
}
