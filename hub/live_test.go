package hub

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/topic"
)

// TestPumpGoesBeforeTheCrowd checks that many subscribers that come and go hold up the
// pump only for as long as one of them takes.
func TestPumpGoesBeforeTheCrowd(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	const crowd = 100
	h.mu.Lock() // as the pump does for the event before
	streams := make(chan *Stream, crowd)
	for i := range crowd {
		go func() { streams <- openStream(t, h, From{}, fmt.Sprint("topic ", i)) }()
	}
	blockedIn(t, "(*Hub).enter(", crowd)
	came := make(chan int, 1)
	go func() {
		h.lockFirst()
		came <- h.subscribers
		h.mu.Unlock()
	}()
	blockedIn(t, "(*Hub).lockFirst(", 1)
	h.mu.Unlock()
	if n := <-came; n > 2 {
		t.Errorf("%d of %d subscribers came before the next event", n, crowd)
	}
	for range crowd {
		(<-streams).Close()
	}
}

// TestFewListsAtATime checks that only a few lists of topics are made at a time,
// including those that wait for their consumer.
func TestFewListsAtATime(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	put(t, h, "a", "x")
	const lists = 20
	held, release := make(chan struct{}, lists), make(chan struct{})
	var all sync.WaitGroup
	for range lists {
		all.Go(func() {
			for _, err := range h.TopicsSeen(t.Context(), topic.Everything(), topic.Everything()) {
				if err != nil {
					t.Error(err)
				}
				held <- struct{}{}
				<-release
			}
		})
	}
	blockedIn(t, "(*pages).list(", lists-cap(h.pages.lists[0]))
	close(release)
	all.Wait()
	if len(held) != lists {
		t.Errorf("%d of %d lists were made", len(held), lists)
	}
}

// blockedIn waits until n goroutines are blocked in a function.
func blockedIn(t *testing.T, function string, n int) {
	t.Helper()
	stacks := make([]byte, 4<<20)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		found := 0
		for g := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
			if (strings.Contains(g, "[sync.Mutex.Lock") || strings.Contains(g, "[select")) && strings.Contains(g, function) {
				found++
			}
		}
		if found == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines wait in %s, want %d", found, function, n)
		}
	}
}

// TestLargeEventIsNotCopied checks that a large event is in memory once, however many
// windows refer to it: a copy for each feed would hold up live delivery.
func TestLargeEventIsNotCopied(t *testing.T) {
	data := bytes.Repeat([]byte("x"), maxWindow-1000)
	var first *byte
	for range 2 {
		s := newBooth(t, budget.New(0))
		c := s.enter()
		for i := range 2 { // the second takes the place of the first
			s.add(data[i:])
			at := unsafe.SliceData(s.feed.bytes)
			if at != &data[i] {
				t.Errorf("event %d of %d bytes was copied", i, len(data))
			}
			if first == nil {
				first = at
			}
		}
		s.add([]byte("small"))
		if r := s.feed.peek(c); len(r.bytes) > 0 && !bytes.HasSuffix(s.feed.bytes, []byte("small")) {
			t.Error("what follows a large event is not there")
		}
	}
	if string(data[:1]) != "x" || data[len(data)-1] != 'x' || *first != 'x' {
		t.Error("an event's bytes were changed")
	}
}
