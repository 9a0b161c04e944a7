package rig

import (
	"net"
	"testing"
	"time"
)

func TestLatency(t *testing.T) {
	l := NewLatency()
	if l.Quantile(0.5) != 0 || l.Max() != 0 {
		t.Error("an empty one is not 0")
	}
	for ms := 1; ms <= 1000; ms++ {
		l.Add(time.Duration(ms) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0: time.Millisecond, 0.5: 500 * time.Millisecond, 0.99: 990 * time.Millisecond, 1: time.Second} {
		if got := l.Quantile(q); got < want*99/100 || got > want*101/100 {
			t.Errorf("the quantile %g is %s, want %s", q, got, want)
		}
	}
	l.Add(time.Hour) // counts as ten minutes
	if got := l.Max(); got < 9*time.Minute || got > 11*time.Minute {
		t.Errorf("the longest is %s", got)
	}
	if n := l.Histogram().TotalCount(); n != 1001 {
		t.Errorf("the copy has %d latencies", n)
	}
}

func TestFreeAddress(t *testing.T) {
	addr, err := FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
}
