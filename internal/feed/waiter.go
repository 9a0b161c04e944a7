package feed

// A Waker is woken when there may be something to do. Wake may be called from any
// goroutine, with locks held: it must not block. It may be called without need.
type Waker interface{ Wake() }

// A Waiter waits for a feed's next event. Its subscriber leaves the feed with it.
type Waiter struct {
	waker Waker
	at    int32 // index in the feed's waiting, plus one; 0: not in it
	left  bool  // it has left the feed; guarded by the set's lock
}

// NewWaiter returns a waiter that is not waiting yet. w is woken by each event that comes
// while it waits.
func NewWaiter(w Waker) Waiter { return Waiter{waker: w} }

// Wait makes the next event wake w.
func (f *Feed) Wait(w *Waiter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.enqueue(w)
}

// Leave makes the subscriber of w leave the feed, once. It reports whether this call did
// so.
func (f *Feed) Leave(w *Waiter) (left bool) {
	f.mu.Lock()
	f.dequeue(w)
	f.mu.Unlock()
	return f.set.part(f, w)
}

func (f *Feed) enqueue(w *Waiter) {
	if w.at == 0 {
		f.waiting = append(f.waiting, w)
		w.at = int32(len(f.waiting))
	}
}

func (f *Feed) dequeue(w *Waiter) {
	if w.at == 0 {
		return
	}
	last := f.waiting[len(f.waiting)-1]
	f.waiting[w.at-1], last.at = last, w.at
	f.waiting[len(f.waiting)-1] = nil
	f.waiting = f.waiting[:len(f.waiting)-1]
	w.at = 0
}

// wake wakes all that wait.
func (f *Feed) wake() {
	for _, w := range f.waiting {
		w.at = 0
		w.waker.Wake()
	}
	clear(f.waiting)
	f.waiting = f.waiting[:0]
}
