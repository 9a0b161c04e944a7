package hub

import (
	"maps"
	"sync"
	"time"
)

// A Fanout serves streams that are caught up, all those of a feed in one go:
// what was published is looked up once for many, and a stream whose peer takes
// it is not touched itself, but a few words for it that lie beside the next
// one's. Of thousands, none would be in the processor's cache.
//
// One goroutine, the one that writes for all of its streams, calls its methods.
// Of a stream that is in a Fanout no method may be called, but for
// [Stream.End].
type Fanout struct {
	hub     *Hub
	sink    Sink
	cohorts map[*feed]*cohort
	most    int       // cohorts that there were since that map was made
	active  []*cohort // those with streams that may have something to take
	spare   []*cohort // what active was before

	mu    sync.Mutex // guards woken, and woken of cohorts; taken inside feeds' locks
	woken []*cohort
}

// A Sink writes for a [Fanout]. It tells streams apart by the tags that they
// were added with.
type Sink interface {
	// Wake tells that there is something to serve. Any goroutine may call it; it
	// must not block.
	Waker

	// Write writes to a stream's peer, without waiting for it, and returns how
	// much that took.
	Write(tag int32, b []byte) (int, error)

	// Leave says that a stream is in the Fanout no more: its peer has not taken
	// all that was written, it may not see what is next, or it has to read
	// the log. The error is that of Write.
	Leave(tag int32, err error)
}

// minTogether is how many streams a feed has to have, in whichever Fanouts, for
// them to be served together. For one alone a cohort would only cost memory.
const minTogether = 2

// Fanout returns a [Fanout] without streams.
func (h *Hub) Fanout(s Sink) *Fanout {
	return &Fanout{hub: h, sink: s, cohorts: map[*feed]*cohort{}}
}

// Add takes a stream in, if that has nothing to take for now, and reports
// whether it did. The stream's waker is still woken for all but events.
func (fo *Fanout) Add(st *Stream, tag int32) bool {
	f := st.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if !st.cursor.attached || st.cursor.off != f.end() || f.attached < minTogether || len(st.own) > 0 {
		return false
	}
	c := fo.cohorts[f]
	if c == nil {
		c = &cohort{fanout: fo, feed: f}
		c.cursor.waker = c
		fo.cohorts[f] = c
		fo.most = max(fo.most, len(fo.cohorts))
	}
	c.add(st, tag)
	return true
}

// Remove takes a stream out, if it is in.
func (fo *Fanout) Remove(st *Stream) {
	if st.cohort != nil {
		st.cohort.remove(st)
	}
}

// forget drops the cohort of a feed, which has no streams left. A map does not shrink: one
// that was much larger is made anew.
func (fo *Fanout) forget(f *feed) {
	delete(fo.cohorts, f)
	if fo.most < 64 || len(fo.cohorts) > fo.most/4 {
		return
	}
	fo.most = len(fo.cohorts)
	left := make(map[*feed]*cohort, fo.most)
	maps.Copy(left, fo.cohorts)
	fo.cohorts = left
}

// Serve has about n writes made, and returns how long there will be none to make:
// 0 if there are more, a negative duration if that is until the [Sink] is woken.
func (fo *Fanout) Serve(n int) (wait time.Duration) {
	fo.collect()
	now := time.Now()
	served := 0
	for ; n > 0 && served < len(fo.active); served++ {
		n -= fo.active[served].serve(n, now)
	}
	wait = -1
	next := append(fo.spare[:0], fo.active[served:]...) // they are first the next time
	for _, c := range fo.active[:served] {
		if c.due > 0 || c.again {
			next = append(next, c)
		}
	}
	clear(fo.active) // it must not keep those that have gone
	fo.active, fo.spare = next, fo.active
	for _, c := range next {
		if rest := c.rest(now); wait < 0 || rest < wait {
			wait = rest
		}
	}
	return wait
}

// collect takes in those who were woken.
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
