package park

// wheelSlots is in how many moments of a heartbeat streams may beat.
const wheelSlots = 64

// links are a place in a ring of parked streams; which one, its owner says.
type links struct{ next, prev *parked }

// A list is a ring of parked streams in the order in which they were put there.
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

// remove takes p out, if it is in any list.
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

// A wheel has one list for each tick of a round. A stream is in that of the tick
// at which it has to be looked at next; that it has been written to meanwhile
// shows then.
type wheel struct {
	beat  int64 // ticks of a heartbeat
	done  int64 // the tick up to which it has turned
	slots [2 * wheelSlots]list
}

func newWheel(beat int64) wheel {
	w := wheel{beat: beat}
	for i := range w.slots {
		w.slots[i].in = ringOf
	}
	return w
}

// due is when a stream has to beat, unless something is written before.
func (w *wheel) due(p *parked) int64 { return p.entry().last + w.beat - int64(p.jitter) }

func (w *wheel) put(p *parked) {
	p.slot = min(max(w.due(p), w.done+1), w.done+int64(len(w.slots))-1) % int64(len(w.slots))
	w.slots[p.slot].push(p)
}

func (w *wheel) remove(p *parked) { w.slots[p.slot].remove(p) }

// turn calls beat with each stream that has been silent until now.
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
