package load

import (
	"sync"
	"sync/atomic"

	"github.com/tidings-sse/tidings/internal/rig"
)

// A feed is the order of one topic's events, as seen by the stream that got furthest
// first. The topic's other streams must receive the same.
type feed struct {
	topic   string
	streams int

	length atomic.Int64 // how many events
	blocks atomic.Pointer[[]*block]

	mu   sync.Mutex
	last []int64 // for each publisher, one more than the number of its latest event
}

// A block holds entries, which do not change once the feed's length includes them.
type block [256]entry

type entry struct {
	rig.Event
	body []byte // the bytes of the event
	raw  []byte // the bytes of the chunk, if it holds only this event; otherwise nil
	id   string
}

func newFeed(topic string, publishers int) *feed {
	f := &feed{topic: topic, last: make([]int64, publishers)}
	f.blocks.Store(new([]*block))
	return f
}

// at returns the event at a position, or nil if there is none yet.
func (f *feed) at(i int64) *entry {
	if i >= f.length.Load() {
		return nil
	}
	return &(*f.blocks.Load())[i>>8][i&255]
}

// add adds an event if its publisher sent it after all that the feed has, and returns its
// position. Such an event is new.
func (f *feed) add(e entry) (at int64, added bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.follows(e.Event) {
		return 0, false
	}
	at = f.length.Load()
	f.put(at, e)
	return at, true
}

// addAt adds an event at position i, unless the feed has grown beyond that.
func (f *feed) addAt(i int64, e entry) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.length.Load() != i {
		return false
	}
	f.put(i, e)
	return true
}

// put stores a copy of the event's bytes. It needs f.mu.
func (f *feed) put(i int64, e entry) {
	blocks := *f.blocks.Load()
	if int(i>>8) == len(blocks) {
		blocks = append(blocks, new(block))
		f.blocks.Store(&blocks)
	}
	if e.raw != nil {
		// The body is the whole chunk without its framing.
		at := len(e.raw) - 2 - len(e.body)
		e.raw = append([]byte(nil), e.raw...)
		e.body = e.raw[at : at+len(e.body)]
	} else {
		e.body = append([]byte(nil), e.body...)
	}
	blocks[i>>8][i&255] = e
	f.length.Store(i + 1)
}

// follows records e. It reports whether e came after all that its publisher had sent
// before.
func (f *feed) follows(e rig.Event) bool {
	if e.Publisher >= int64(len(f.last)) || e.Number < f.last[e.Publisher] {
		return false
	}
	f.last[e.Publisher] = e.Number + 1
	return true
}

// find returns the position of a number. It searches from a position on, and then before.
func (f *feed) find(number, from int64) (int64, bool) {
	n := f.length.Load()
	for i := from; i < n; i++ {
		if f.at(i).Number == number {
			return i, true
		}
	}
	for i := min(from, n) - 1; i >= 0; i-- {
		if f.at(i).Number == number {
			return i, true
		}
	}
	return 0, false
}
