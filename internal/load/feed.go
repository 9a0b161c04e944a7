package load

import (
	"sync"
	"sync/atomic"
)

// A feed is the order of one topic's events, as the first stream that got so
// far has seen it. The topic's other streams have to bring the same.
type feed struct {
	topic   string
	streams int

	length atomic.Int64 // of events
	blocks atomic.Pointer[[]*block]

	mu   sync.Mutex
	last []int64 // of each publisher: one more than the number of its latest event
}

// A block holds entries that do not change any more once the feed's length
// covers them.
type block [256]entry

type entry struct {
	event
	body []byte // the bytes of the event
	raw  []byte // and of the chunk that held it alone, if one did
	id   string
}

func newFeed(topic string, publishers int) *feed {
	f := &feed{topic: topic, last: make([]int64, publishers)}
	f.blocks.Store(new([]*block))
	return f
}

// at returns the event at a position, or nil if none has come so far.
func (f *feed) at(i int64) *entry {
	if i >= f.length.Load() {
		return nil
	}
	return &(*f.blocks.Load())[i>>8][i&255]
}

// add adds an event that its publisher sent after all that have come so far,
// and returns its position. Such an event is new.
func (f *feed) add(e entry) (at int64, added bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.follows(e.event) {
		return 0, false
	}
	at = f.length.Load()
	f.put(at, e)
	return at, true
}

// addAt adds any event, unless another has come to that position.
func (f *feed) addAt(i int64, e entry) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.length.Load() != i {
		return false
	}
	f.put(i, e)
	return true
}

// put copies the event's bytes. f.mu is held.
func (f *feed) put(i int64, e entry) {
	blocks := *f.blocks.Load()
	if int(i>>8) == len(blocks) {
		blocks = append(blocks, new(block))
		f.blocks.Store(&blocks)
	}
	if e.raw != nil {
		// The body is all of the chunk but its framing.
		at := len(e.raw) - 2 - len(e.body)
		e.raw = append([]byte(nil), e.raw...)
		e.body = e.raw[at : at+len(e.body)]
	} else {
		e.body = append([]byte(nil), e.body...)
	}
	blocks[i>>8][i&255] = e
	f.length.Store(i + 1)
}

// follows notes that e has come, and reports whether it came after all that its
// publisher had sent before.
func (f *feed) follows(e event) bool {
	if e.publisher >= int64(len(f.last)) || e.number < f.last[e.publisher] {
		return false
	}
	f.last[e.publisher] = e.number + 1
	return true
}

// find returns where a number is, looking from a position on and then before.
func (f *feed) find(number, from int64) (int64, bool) {
	n := f.length.Load()
	for i := from; i < n; i++ {
		if f.at(i).number == number {
			return i, true
		}
	}
	for i := min(from, n) - 1; i >= 0; i-- {
		if f.at(i).number == number {
			return i, true
		}
	}
	return 0, false
}
