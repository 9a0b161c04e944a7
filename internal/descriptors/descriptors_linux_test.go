package descriptors

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNow(t *testing.T) {
	before := Now()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || uint64(before.Limit) != limit.Cur && limit.Cur < 1<<31 {
		t.Errorf("the limit is %d, want %d (%v)", before.Limit, limit.Cur, err)
	}
	const n = 10
	for range n {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
	}
	if after := Now(); after.Open != before.Open+n {
		t.Errorf("%d descriptors are open after %d and %d more", after.Open, before.Open, n)
	}
}

func TestRoom(t *testing.T) {
	for _, tt := range []struct {
		u    Usage
		room bool
	}{
		{Usage{}, true}, // the system does not say
		{Usage{192, 256}, true},
		{Usage{193, 256}, false},
		{Usage{1 << 20, 1 << 20}, false},
		{Usage{1<<20 - 512, 1 << 20}, true},
		{Usage{4, 4}, false},
	} {
		if got := tt.u.Room(); got != tt.room {
			t.Errorf("%+v: room %v", tt.u, got)
		}
	}
}

func TestConnections(t *testing.T) {
	for _, tt := range []struct {
		u    Usage
		want int
	}{
		{Usage{}, 64}, // the system does not say
		{Usage{100, 1 << 20}, 64},
		{Usage{200, 256}, 24},
		{Usage{224, 256}, 0},
		{Usage{256, 256}, 0},
	} {
		if got := tt.u.Connections(); got != tt.want {
			t.Errorf("%+v: %d more connections, want %d", tt.u, got, tt.want)
		}
	}
}
