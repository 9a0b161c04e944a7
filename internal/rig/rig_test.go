package rig

import (
	"bytes"
	"fmt"
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

// FuzzParseEvent checks that data is accepted only if its length and every byte are those
// of an event.
func FuzzParseEvent(f *testing.F) {
	body := func(dst []byte) []byte { return append(dst, "some data"...) }
	f.Add(Event{1, 2, 3}.Append(nil, body))
	f.Add(Event{}.Append(nil, body))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, ok := ParseEvent(data)
		if !ok {
			return
		}
		if head := fmt.Sprintf("%d %d %d ", e.Number, e.Publisher, e.At); len(head)+9 > len(data) {
			t.Fatalf("%q was accepted as whole", data)
		}
	})
}

func TestTornEvent(t *testing.T) {
	e := Event{Number: 12, Publisher: 3, At: 456}
	data := e.Append([]byte("before"), func(dst []byte) []byte { return append(dst, "some data"...) })[len("before"):]
	if got, ok := ParseEvent(data); !ok || got != e {
		t.Fatalf("%q is parsed as %+v, %v", data, got, ok)
	}
	for i := range data {
		torn := bytes.Clone(data)
		torn[i] ^= 1
		if _, ok := ParseEvent(torn); ok {
			t.Errorf("%q is accepted", torn)
		}
	}
}
