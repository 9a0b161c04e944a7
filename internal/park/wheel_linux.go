package park

// wheelSlots is how many ticks the shorter of heartbeat and write timeout has.
const wheelSlots = 64

// links connect a parked stream to its neighbours in a ring.
type links struct{ next, prev *parked }

// A list is a ring of parked streams in the order in which they were added.
type list struct {
	head *parked
	in   func(*parked) *links
}

func ringOf(p *parked) *links  { return &p.ring }
func stuckOf(p *parked) *links { return &p.stuck }

func (l *list) push(p *parked) {
	at := l.in(p)
	if l.head == nil {
		at.next, at.prev, l.head = p, p, p
		return
	}
	last := l.in(l.head).prev
	at.next, at.prev = l.head, last
	l.in(last).next, l.in(l.head).prev = p, p
}

// remove removes p, if it is in a list.
func (l *list) remove(p *parked) {
	at := l.in(p)
	if at.next == nil {
		return
	}
	if at.next == p {
		l.head = nil
	} else {
		l.in(at.next).prev, l.in(at.prev).next = at.prev, at.next
		if l.head == p {
			l.head = at.next
		}
	}
	*at = links{}
}

// A wheel has one list for each tick of a round. A stream is in the list of the tick at
// which it has to be checked next. Writes do not move it; the check finds out whether it
// has been silent since.
type wheel struct {
	beat  int64 // the heartbeat, in ticks
	done  int64 // the tick up to which turn has run
	slots [2 * wheelSlots]list
}

func newWheel(beat int64) wheel {
	w := wheel{beat: beat}
	for i := range w.slots {
		w.slots[i].in = ringOf
	}
	return w
}

// due returns the tick at which a stream has to send a heartbeat, unless something is
// written before.
func (w *wheel) due(p *parked) int64 { return p.entry().last + w.beat - int64(p.jitter) }

func (w *wheel) put(p *parked) {
	p.slot = min(max(w.due(p), w.done+1), w.done+int64(len(w.slots))-1) % int64(len(w.slots))
	w.slots[p.slot].push(p)
}

func (w *wheel) remove(p *parked) { w.slots[p.slot].remove(p) }

// turn advances the wheel to now and calls beat with each stream whose heartbeat is due.
func (w *wheel) turn(now int64, beat func(*parked)) {
	for w.done < now {
		w.done++
		l := &w.slots[w.done%int64(len(w.slots))]
		for l.head != nil {
			p := l.head
			l.remove(p)
			if w.due(p) <= w.done {
				beat(p)
			}
			w.put(p)
		}
	}
}
