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
	large := make([][]byte, 100)
	for i := range large {
		large[i] = make([]byte, 1<<20)
	}
	runtime.KeepAlive(large)
	large = nil
	runtime.GC()
	if !isMostlyFree() {
		t.Error("100 MiB of garbage are not seen as free")
	}
	giveBack()
	if isMostlyFree() {
		t.Error("memory that was given back is seen as free")
	}
}
