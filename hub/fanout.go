package hub

import (
	"maps"
	"sync"
	"time"

	"github.com/tidings-sse/tidings/internal/feed"
)

// A Fanout writes pending events to all caught-up streams of a feed in one pass. It looks
// the bytes up once, and per stream touches only one entry of a contiguous array, because
// thousands of Streams would not fit into the CPU cache.
//
// All methods must be called from the one goroutine that writes the streams. While a
// stream is in a Fanout, only [Stream.End] may be called on it.
type Fanout struct {
	hub     *Hub
	sink    Sink
	cohorts map[*feed.Feed]*cohort
	most    int       // the largest size of cohorts since the map was made
	active  []*cohort // cohorts that may have something to write
	spare   []*cohort // the previous array of active, to be reused

	mu    sync.Mutex // guards woken, and the woken field of cohorts; taken inside feeds' locks
	woken []*cohort
}

// A Sink writes for a [Fanout]. A tag identifies a stream: it is the one given to
// [Fanout.Add].
type Sink interface {
	// Wake signals that there is something to serve. Any goroutine may call it; it must
	// not block.
	Waker

	// Write writes b to a stream's peer without blocking, and returns how many bytes the
	// socket accepted. Accepting fewer is not an error; the stream then leaves the
	// Fanout.
	Write(tag int32, b []byte) (int, error)

	// Leave is called when a stream has left the Fanout: a write was short or failed, its
	// grant does not cover the next event, or it fell out of the window. err is Write's
	// error, if any.
	Leave(tag int32, err error)
}

// Fanout returns a [Fanout] without streams that writes to s.
func (h *Hub) Fanout(s Sink) *Fanout {
	return &Fanout{hub: h, sink: s, cohorts: map[*feed.Feed]*cohort{}}
}

// Add adds a stream that has nothing to send for now, and reports whether it did. It
// reports false for a stream that is not caught up, or is alone on its feed. The stream's
// waker is still woken, but not for new events.
func (fo *Fanout) Add(st *Stream, tag int32) bool {
	f := st.cursor.Feed()
	if len(st.own) > 0 {
		return false
	}
	c := fo.cohorts[f]
	if c == nil {
		if !st.cursor.CanJoin() {
			return false
		}
		c = &cohort{fanout: fo, feed: f}
		c.Group = feed.NewGroup(f, c)
		fo.cohorts[f] = c
		fo.most = max(fo.most, len(fo.cohorts))
	}
	if !c.add(st, tag) {
		if c.Len() == 0 {
			fo.forget(f)
		}
		return false
	}
	return true
}

// Remove removes a stream, if it is in the Fanout. Its own methods may be called again.
func (fo *Fanout) Remove(st *Stream) {
	if st.cursor.Grouped() {
		fo.cohorts[st.cursor.Feed()].remove(st)
	}
}

// forget drops the cohort of a feed, which is empty. A Go map does not shrink, so forget
// makes a new one when few of many cohorts are left.
func (fo *Fanout) forget(f *feed.Feed) {
	delete(fo.cohorts, f)
	if fo.most < 64 || len(fo.cohorts) > fo.most/4 {
		return
	}
	fo.most = len(fo.cohorts)
	left := make(map[*feed.Feed]*cohort, fo.most)
	maps.Copy(left, fo.cohorts)
	fo.cohorts = left
}

// Serve makes about n writes. It returns how long to wait before the next call: 0 if more
// can be written now, and a negative duration if there is nothing to write until the
// [Sink] is woken.
func (fo *Fanout) Serve(n int) (wait time.Duration) {
	fo.collect()
	now := time.Now()
	served := 0
	for ; n > 0 && served < len(fo.active); served++ {
		n -= fo.active[served].serve(n, now)
	}
	wait = -1
	next := append(fo.spare[:0], fo.active[served:]...) // these come first at the next call
	for _, c := range fo.active[:served] {
		if c.due > 0 || c.again {
			next = append(next, c)
		}
	}
	clear(fo.active) // do not keep removed cohorts in memory
	fo.active, fo.spare = next, fo.active
	for _, c := range next {
		if rest := c.rest(now); wait < 0 || rest < wait {
			wait = rest
		}
	}
	return wait
}

// collect adds the cohorts that were woken to active.
func (fo *Fanout) collect() {
	fo.mu.Lock()
	defer fo.mu.Unlock()
	for _, c := range fo.woken {
		c.woken = false
		if c.due == 0 && !c.again {
			fo.active = append(fo.active, c)
		}
		c.again = true
	}
	clear(fo.woken)
	fo.woken = fo.woken[:0]
}
