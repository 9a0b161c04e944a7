package shared

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
)

// A part is what one call wants to have in an entry.
type part struct {
	kind kind
	size int64

	// Of events:
	values  [][]byte // the records
	keys    []string // of the records; "" for none
	open    []int    // the records without a result
	results []eventlog.Result
	checked uint64 // the entry that was applied before the open keys were looked up

	// Of other kinds:
	count int
	body  func(*state) []byte
	only  *life // nil: any; in another one, whose entries may differ, the part is dropped and answered

	buried  int
	added   bool // some of it is in the log
	taken   bool // a submitter has it, or the engine may have it
	waiting bool // in the queue
	left    bool // nobody waits for the answer
	err     error
	done    chan struct{} // closed with the answer
}

// merges reports whether an entry may hold several parts of the kind.
func (k kind) merges() bool { return k == kindEvents || k == kindFact }

// A group is an entry that was submitted, and is not applied yet.
type group struct {
	parts    []*part
	offsets  []int // of the parts' records in the entry
	entry    []byte
	counter  uint64
	term     uint64
	fence    string
	tried    time.Time     // the last attempt
	perhaps  bool          // an attempt had no clear answer
	resolved chan struct{} // closed when it was applied, or can no longer be
}

// A queue holds what waits for a submitter, and the groups that wait to be applied.
type queue struct {
	mu      sync.Mutex
	ready   sync.Cond // parts may be taken
	parts   []*part
	held    int64 // bytes of all parts without an answer
	most    int64
	pending map[uint64]*group
	live    bool      // entries may be submitted
	failing time.Time // since when the engine has not answered; zero: it has
	ended   error
}

func (q *queue) init(l *Log) {
	q.ready.L = &q.mu
	q.pending = map[uint64]*group{}
	q.most = l.o.Queue
}

// stalled is how long the engine may leave all entries without an answer before further parts
// are refused.
const stalled = 3 * time.Second

// put adds a part, or returns why that is not possible.
func (q *queue) put(p *part) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.ended != nil:
		return q.ended
	case q.held > 0 && q.held+p.size > q.most:
		return fmt.Errorf("%w (%d bytes are waiting already)", eventlog.ErrUnavailable, q.held)
	case !q.failing.IsZero() && time.Since(q.failing) > stalled:
		return fmt.Errorf("%w (it has not answered for %v)", eventlog.ErrUnavailable, time.Since(q.failing).Round(time.Second))
	}
	q.held += p.size
	p.waiting = true
	q.parts = append(q.parts, p)
	q.ready.Signal()
	return nil
}

// leave is called when nobody waits for p any more. It returns the answer if there is one,
// and otherwise why it was not waited for.
func (q *queue) leave(p *part, why error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case <-p.done:
		return p.err
	default:
	}
	if p.waiting && !p.added && !p.taken {
		q.parts = slices.DeleteFunc(q.parts, func(o *part) bool { return o == p })
		q.finish(p, fmt.Errorf("%w (%w)", eventlog.ErrUnavailable, why))
		return p.err
	}
	p.left = true
	return fmt.Errorf("%w (%w)", eventlog.ErrUncertain, why)
}

// finish answers p. It needs mu.
func (q *queue) finish(p *part, err error) {
	q.held -= p.size
	p.err = err
	p.waiting = false
	close(p.done)
}

// again puts parts back, which are not in the log. It needs mu.
func (q *queue) again(parts []*part) {
	for _, p := range parts {
		if p.left || q.ended != nil {
			q.finish(p, q.ended)
			continue
		}
		p.taken, p.waiting, p.checked = false, true, 0
		q.parts = slices.Insert(q.parts, 0, p)
		q.ready.Signal()
	}
}

// take waits for parts, and returns those for one entry of at most so many bytes. It returns
// none when the log ends.
func (q *queue) take(most int) (parts []*part) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.ended == nil && (len(q.parts) == 0 || !q.live) {
		q.ready.Wait()
	}
	if q.ended != nil {
		return nil
	}
	count, size := 0, int64(0)
	for _, p := range q.parts {
		if len(parts) > 0 && (p.kind != parts[0].kind || !p.kind.merges() || count+p.records() > maxRecords || size+p.size > int64(most)) {
			break
		}
		count, size = count+p.records(), size+p.size
		p.waiting, p.taken = false, true
		parts = append(parts, p)
	}
	clear(q.parts[:len(parts)])
	if q.parts = q.parts[len(parts):]; len(q.parts) > 0 {
		q.ready.Signal()
	}
	return parts
}

func (p *part) records() int {
	if p.kind == kindEvents {
		return len(p.values)
	}
	return p.count
}

// setLive allows or forbids to submit entries.
func (q *queue) setLive(live bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.live = live
	q.ready.Broadcast()
}

// answered notes whether the engine answers.
func (q *queue) answered(yes bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case yes:
		q.failing = time.Time{}
	case q.failing.IsZero():
		q.failing = time.Now()
	}
}

// end answers everything with err, and refuses more.
func (q *queue) end(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended != nil {
		return
	}
	q.ended = eventlog.ErrClosed
	if errors.Is(err, eventlog.ErrFailed) {
		q.ended = err
	}
	for _, p := range q.parts {
		q.finish(p, q.ended)
	}
	q.parts = nil
	for _, g := range q.pending {
		for _, p := range g.parts {
			q.finish(p, err)
		}
	}
	clear(q.pending)
	q.ready.Broadcast()
}
