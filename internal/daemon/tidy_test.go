package daemon

import (
	"runtime"
	"testing"
)

func TestCrowds(t *testing.T) {
	var c crowds
	for i, tt := range []struct {
		opened, open uint64
		moved        bool
	}{
		{0, 0, false},
		{900, 900, false}, // some streams come
		{900, 900, false}, // too few for a crowd
		{5000, 5000, false},
		{9000, 9000, false}, // still coming
		{9050, 9050, true},
		{9050, 9050, false}, // they have all come
		{9050, 7000, false},
		{9050, 7000, true},  // more than a quarter has gone
		{9050, 6000, false}, // fewer have gone
		{9050, 6000, false},
		{20_000, 6000, false}, // about as many leave as come
		{20_000, 6000, true},  // now few still do
		{20_000, 0, false},
		{20_000, 0, true}, // all gone
		{20_000, 0, false},
	} {
		if moved := c.moved(tt.opened, tt.open); moved != tt.moved {
			t.Errorf("at the %d-th count, %d opened and %d open: %t", i, tt.opened, tt.open, moved)
		}
	}
}

func TestFreeMemoryIsGivenBack(t *testing.T) {
	for _, tt := range []struct {
		free, used uint64
		want       bool
	}{{muchFree + 1, 4 * muchFree, true}, {muchFree, 0, false}, {muchFree + 1, 8 * muchFree, false}, {100 << 20, 300 << 20, true}} {
		if got := isMuch(tt.free, tt.used); got != tt.want {
			t.Errorf("%d bytes beside %d: %v", tt.free, tt.used, got)
		}
	}
	large := make([]byte, 100<<20)
	_, with := heapMemory()
	runtime.KeepAlive(large)
	giveBack()
	free, used := heapMemory()
	if with < 100<<20 || used > with-(90<<20) || free > muchFree {
		t.Errorf("after 100 MiB were given back, %d bytes are free and %d of %d used", free, used, with)
	}
}
