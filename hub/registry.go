package hub

import (
	"bytes"
	"context"
	"crypto/rand"
	"iter"
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/tidings-sse/tidings/budget"
)

// registry holds the open streams, in parts by the first bits of their ids, so that a
// storm of connects does not wait for one lock.
type registry [64]struct {
	mu      sync.Mutex
	streams map[StreamID]*Stream
}

// part returns the index of the part that a stream is in.
func (id StreamID) part() int { return int(id[0] / 4) }

func (g *registry) add(st *Stream, remote string) {
	_, _ = rand.Read(st.id[:])                                  // never fails, as documented
	st.id[6], st.id[8] = st.id[6]&0x0f|0x40, st.id[8]&0x3f|0x80 // a UUID of version 4, for who writes it so
	st.remote, st.opened = remote, time.Now().UnixNano()
	part := &g[st.id.part()]
	part.mu.Lock()
	defer part.mu.Unlock()
	if part.streams == nil {
		part.streams = map[StreamID]*Stream{}
	}
	part.streams[st.id] = st
}

// remove reports whether st was there.
func (g *registry) remove(st *Stream) bool {
	part := &g[st.id.part()]
	part.mu.Lock()
	defer part.mu.Unlock()
	_, ok := part.streams[st.id]
	if delete(part.streams, st.id); len(part.streams) == 0 {
		part.streams = nil // a map does not shrink
	}
	return ok
}

func (g *registry) size() (n int) {
	for i := range g {
		g[i].mu.Lock()
		n += len(g[i].streams)
		g[i].mu.Unlock()
	}
	return n
}

// find yields the streams after an id that a filter leaves: those of each part at once,
// in no order, but before those of the next. What it yields is good until the next. It
// compares selectors only after it has let go of the locks, for streams that open and
// close wait for those, and calls rest, unless that is nil, whenever it has compared some.
func (g *registry) find(f StreamFilter, after StreamID, rest func() error) iter.Seq2[[]*Stream, error] {
	return func(yield func([]*Stream, error) bool) {
		var found []*Stream
		verdicts := verdicts{filter: &f, of: map[*feed]bool{}, rest: rest}
		for i := after.part(); i < len(g); i++ {
			if f.ID != (StreamID{}) && i != f.ID.part() {
				continue
			}
			found = g.findIn(i, &f, after, found[:0])
			err := verdicts.keep(&found)
			if len(found) == 0 && err == nil {
				continue
			}
			if !yield(found, err) || err != nil {
				return
			}
			clear(found)
		}
	}
}

// findIn adds to found the streams of a part after an id whose peers a filter leaves.
func (g *registry) findIn(part int, f *StreamFilter, after StreamID, found []*Stream) []*Stream {
	p := &g[part]
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.ID != (StreamID{}) {
		if st := p.streams[f.ID]; st != nil && f.matchesPeer(st) && after.before(st.id) {
			found = append(found, st)
		}
		return found
	}
	for _, st := range p.streams {
		if f.matchesPeer(st) && after.before(st.id) {
			found = append(found, st)
		}
	}
	return found
}

func (id StreamID) before(other StreamID) bool { return bytes.Compare(id[:], other[:]) < 0 }

// maxVerdicts is how many verdicts on feeds are remembered.
const maxVerdicts = 4096

// verdicts are those of a filter on feeds: streams of a feed ask for the same.
type verdicts struct {
	filter *StreamFilter
	of     map[*feed]bool
	rest   func() error
}

// keep removes from found what the filter does not leave.
func (v *verdicts) keep(found *[]*Stream) (err error) {
	if v.rest == nil {
		v.rest = func() error { return nil }
	}
	err = v.rest()
	if !v.filter.narrowsFeeds() {
		return err
	}
	*found = slices.DeleteFunc(*found, func(st *Stream) bool {
		ok, known := v.of[st.feed]
		if known || err != nil {
			return !ok || err != nil
		}
		if err = v.rest(); len(v.of) == maxVerdicts {
			clear(v.of)
		}
		ok = v.filter.matchesFeed(st.feed)
		v.of[st.feed] = ok
		return !ok
	})
	return err
}

// isEmpty reports whether the filter leaves all streams.
func (f *StreamFilter) isEmpty() bool {
	return f.ID == StreamID{} && f.Subject == "" && f.TokenID == "" && f.Ticket == 0 && !f.narrowsFeeds()
}

// narrowsFeeds reports whether it matters what streams ask for.
func (f *StreamFilter) narrowsFeeds() bool {
	return len(f.Topics.text) > 0 || f.banned != nil || f.Selector != ""
}

func (f *StreamFilter) matchesPeer(st *Stream) bool {
	of := st.weight.holder()
	return (f.Subject == "" || of.subject == f.Subject) && (f.TokenID == "" || of.tokenID == f.TokenID) && (f.Ticket == 0 || of.ticket == f.Ticket)
}

func (f *StreamFilter) matchesFeed(of *feed) bool {
	if f.Selector != "" {
		if _, ok := slices.BinarySearch(of.sel.text, f.Selector); !ok {
			return false
		}
	}
	return (len(f.Topics.text) == 0 || f.Topics.Meets(&of.sel)) && (f.banned == nil || f.banned.cover(&of.sel))
}

// maxStreamsBytes is how many bytes of what is known of streams a page has, which its
// last stream may exceed.
const maxStreamsBytes = 256 << 10

// A StreamPage is some open streams, in the order of their ids. What it holds is counted
// until Close.
type StreamPage struct {
	Streams []StreamInfo
	More    bool // others follow the last of them

	lists   *budget.Share
	bytes   int64
	largest int64 // likewise counted, to write one
}

// Close gives back what the page holds.
func (p *StreamPage) Close() {
	p.lists.Give(p.bytes + p.largest)
	p.Streams, p.bytes, p.largest = nil, 0, 0
}

// add reports whether there is room for i.
func (p *StreamPage) add(i StreamInfo) bool {
	n := i.size()
	more := n + max(0, 2*n-p.largest)
	if !p.lists.Take(more) {
		return false
	}
	p.bytes, p.largest = p.bytes+n, max(p.largest, 2*n)
	p.Streams = append(p.Streams, i)
	return true
}

// size returns about how many bytes i takes. Most of its texts are the stream's, which
// may be gone before the page.
func (i *StreamInfo) size() int64 {
	n := 2 * int(unsafe.Sizeof(*i)) // in a slice that grows
	for _, texts := range [][]string{i.Selectors, i.Types} {
		for _, text := range texts {
			n += len(text) + int(unsafe.Sizeof(text))
		}
	}
	return int64(n + len(i.Subject) + len(i.TokenID) + len(i.Remote) + len(i.UserAgent) + len(i.Payload))
}

// Streams lists open streams in the order of their ids after one: at most limit, or fewer
// that are large. It looks in turn with those who catch up. The caller closes the page.
// The error is the context's or [ErrOverBudget].
func (h *Hub) Streams(ctx context.Context, f StreamFilter, after StreamID, limit int) (*StreamPage, error) {
	page := &StreamPage{lists: h.budget.Share(budget.Lists)}
	err := h.eachPart(ctx, f, after, func(found []*Stream, rest func() error) (bool, error) {
		slices.SortFunc(found, func(a, b *Stream) int { return bytes.Compare(a.id[:], b.id[:]) })
		for _, st := range found {
			if page.More = len(page.Streams) == limit || page.bytes >= maxStreamsBytes; page.More {
				return false, nil
			}
			if err := rest(); err != nil {
				return false, err
			}
			if !page.add(st.info(f.Event)) {
				return false, ErrOverBudget
			}
		}
		return true, nil
	})
	if err != nil {
		page.Close()
		return nil, err
	}
	return page, nil
}

// CountStreams returns how many streams are open that a filter leaves. It looks as
// [Hub.Streams] does.
func (h *Hub) CountStreams(ctx context.Context, f StreamFilter) (n int, err error) {
	if f.isEmpty() {
		return h.registry.size(), nil
	}
	err = h.eachPart(ctx, f, StreamID{}, func(found []*Stream, _ func() error) (bool, error) {
		n += len(found)
		return true, nil
	})
	return n, err
}

// eachPart calls do with the streams after an id that a filter leaves, in parts, until do
// returns false or an error. It has a slot meanwhile, and do calls rest before each stream
// that it looks at.
func (h *Hub) eachPart(ctx context.Context, f StreamFilter, after StreamID, do func(found []*Stream, rest func() error) (more bool, err error)) error {
	pace, err := h.pages.begin(ctx, &f.Topics)
	if err != nil {
		return err
	}
	defer func() {
		if pace != nil {
			pace.end()
		}
	}()
	rest := func() error {
		pace.costly = pace.costly || f.Event != nil // what became of it may take long to find out
		if !pace.over() {
			return nil
		}
		pace.end()
		pace, err = h.pages.begin(ctx, &f.Topics)
		return err
	}
	for found, err := range h.registry.find(f, after, rest) {
		if err != nil {
			return err
		}
		if more, err := do(found, rest); err != nil || !more {
			return err
		}
	}
	return nil
}

// End ends the streams that a filter leaves, and returns how many those are.
func (h *Hub) End(f StreamFilter, cause error) (n int) {
	h.eachStream(f, func(st *Stream) {
		st.End(cause)
		n++
	})
	return n
}

// PeerOf returns who reads an open stream.
func (h *Hub) PeerOf(id StreamID) (p Peer, ok bool) {
	h.eachStream(StreamFilter{ID: id}, func(st *Stream) {
		p, ok = st.describe(), true
	})
	return p, ok
}

// eachStream calls do with each stream that a filter leaves.
func (h *Hub) eachStream(f StreamFilter, do func(*Stream)) {
	for found := range h.registry.find(f, StreamID{}, nil) {
		for _, st := range found {
			do(st)
		}
	}
}
