package shared

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/eventlog/disklog"
)

// A follower is where this node is in following the sequence.
type follower struct {
	primed bool // the rules know what they need

	// After the copy had to be cut: a term must begin after branch, if none has.
	cut    bool
	branch uint64
	former uint64 // the newest term that the copy knew
	lost   uint64 // how many entries were cut

	mu    sync.Mutex // guards what follows
	live  bool       // this node has caught up, and may submit entries
	ready chan struct{}
	again context.CancelFunc // makes the node follow anew; nil if it does not follow
}

// state returns whether the node is live, and a channel that is closed when that changes.
func (f *follower) state() (live bool, changed <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.live, f.ready
}

func (l *Log) setLive(live bool) {
	f := &l.follower
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.live != live {
		f.live = live
		close(f.ready)
		f.ready = make(chan struct{})
	}
	l.queue.setLive(live)
}

func (f *follower) setAgain(cancel context.CancelFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.again = cancel
}

// anew makes this node follow anew, which compares the sequence with the copy.
func (f *follower) anew() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.again != nil {
		f.again()
	}
}

// watchEvery is how often the follower checks that the sequence does not end before what it
// has applied: it would wait in silence until the numbers have caught up.
const watchEvery = time.Second

func (l *Log) watch() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-tick.C:
		}
		applied := l.copy.Applied().Entry // before the end is asked for
		if live, _ := l.follower.state(); !live {
			continue
		}
		if ends, err := l.ends(l.ctx); err == nil && ends.Last < applied {
			l.follower.anew()
		}
	}
}

// applyBytes is about how many bytes of entries one call of the applier takes.
const applyBytes = 2 << 20

// errFork reports that the sequence is not the one that this copy follows.
var errFork = errors.New("shared: the sequence differs from what was applied here")

// follow follows the sequence until the log ends, through all changes of its life.
func (l *Log) follow() {
	for wait := 50 * time.Millisecond; l.ctx.Err() == nil; {
		begun := time.Now()
		err := l.followOnce(l.ctx)
		l.setLive(false)
		switch {
		case l.ctx.Err() != nil:
		case errors.Is(err, errCopy), errors.Is(err, errNewer):
			l.fail(err)
		case errors.Is(err, ErrMoved), errors.Is(err, ErrTrimmed), errors.Is(err, errFork), errors.Is(err, context.Canceled):
			l.o.Logger.Warn("eventlog: following the sequence anew", "reason", err)
		default:
			l.scarce.Do(func() { l.o.Logger.Warn("eventlog: cannot follow the sequence; trying again", "error", err) })
		}
		if time.Since(begun) > time.Second {
			wait = 50 * time.Millisecond
		}
		select {
		case <-l.ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, time.Second)
	}
	l.queue.end(fmt.Errorf("%w (%w)", eventlog.ErrUncertain, l.ending()))
}

// errCopy wraps an error of the copy.
var errCopy = errors.New("shared: the copy")

// followOnce follows the sequence until an error.
func (l *Log) followOnce(ctx context.Context) error {
	ends, err := l.ends(ctx)
	if err != nil {
		return err
	}
	l.queue.answered(true)
	from, err := l.begin(ctx, ends)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var settling sync.WaitGroup
	defer settling.Wait()
	defer cancel()
	l.follower.setAgain(cancel)
	defer l.follower.setAgain(nil)
	applied := l.copy.Applied().Entry
	matched := applied == 0
	caught := false
	for batch, err := range l.sequence.Follow(ctx, ends.Fence, from) {
		if err != nil {
			return err
		}
		if !matched {
			if batch, matched, err = l.match(ctx, batch, applied); err != nil {
				return err
			}
		}
		if err := l.applyAll(ctx, ends.Fence, batch); err != nil {
			return err
		}
		if reached := batchEnd(batch, l.copy.Applied().Entry); matched && !caught && reached >= ends.Last {
			if l.applier.state.first == 0 {
				return fmt.Errorf("%w: if these entries are not a hub's, remove them", errStart)
			}
			caught, l.follower.primed = true, true
			settling.Go(func() { l.settleTerm(ctx, ends.Fence) })
		}
	}
	return errors.New("shared: Follow ended without an error")
}

// batchEnd returns the number of the last entry seen, which may not have been applied.
func batchEnd(batch []Entry, applied uint64) uint64 {
	if len(batch) > 0 {
		return batch[len(batch)-1].N
	}
	return applied
}

func (l *Log) ends(ctx context.Context) (Ends, error) {
	ctx, cancel := context.WithTimeout(ctx, overdue)
	defer cancel()
	return l.sequence.Ends(ctx)
}

// begin returns the entry from which to follow. It empties or cuts the copy if that does not
// belong to the sequence.
func (l *Log) begin(ctx context.Context, ends Ends) (from uint64, err error) {
	applied := l.copy.Applied().Entry
	if applied != 0 {
		need := applied
		if !l.follower.primed {
			need = l.applier.lead(applied)
		}
		switch {
		case ends.Last < applied:
			return 0, l.fork(ctx)
		case ends.First > need:
			l.o.Logger.Warn("eventlog: the sequence was trimmed beyond what this node has; its copy begins anew", "applied", applied, "first", ends.First)
			return 0, errors.Join(errors.New("shared: the copy begins anew"), l.anew(ctx))
		}
		return need, nil
	}
	if ends.First > ends.Last { // there is nothing: begin a log
		h := header{kind: kindTerm, flags: critical, epoch: eventlog.NewEpoch(), name: name{l.session, l.counter.Add(1)}}
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if err := l.sequence.Append(ctx, ends.Fence, (&term{fence: ends.Fence}).append(h.append(nil))); err != nil {
			return 0, err
		}
	}
	return ends.First, nil
}

// match skips the entries that the copy has applied. It gives the rules what they have to know, and
// checks that the last one is the one that was applied.
func (l *Log) match(ctx context.Context, batch []Entry, applied uint64) (rest []Entry, matched bool, err error) {
	for i := range batch {
		e := &batch[i]
		if e.N > applied {
			return nil, false, l.fork(ctx)
		}
		if !l.follower.primed {
			l.applier.observe(e)
		}
		if e.N == applied {
			same, err := l.same(ctx, e)
			if err != nil {
				return nil, false, err
			}
			if !same {
				return nil, false, l.fork(ctx)
			}
			l.follower.primed = true
			return batch[i+1:], true, nil
		}
	}
	return nil, false, nil
}

// same reports whether the copy has applied this very entry.
func (l *Log) same(ctx context.Context, e *Entry) (bool, error) {
	m, ok, err := l.copy.LastMark(ctx, e.N)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errCopy, err)
	}
	id := identity(e.Data)
	return ok && m.Entry == e.N && len(m.Data) > len(id) && [16]byte(m.Data) == id, nil
}

// applyAll applies entries, some at a time.
func (l *Log) applyAll(ctx context.Context, fence string, entries []Entry) error {
	for len(entries) > 0 && ctx.Err() == nil {
		n, size := 0, 0
		for n < len(entries) && size < applyBytes {
			size += len(entries[n].Data)
			n++
		}
		l.applier.fence = fence
		outcomes, err := l.applier.apply(ctx, entries[:n])
		if len(outcomes) > 0 {
			l.resolve(outcomes)
			l.watchers.notify(l)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errCopy, err)
		}
		entries = entries[n:]
	}
	return ctx.Err()
}

// anew empties the copy.
func (l *Log) anew(ctx context.Context) error {
	l.follower.primed = false
	terms := []disklog.Term{{}}
	if l.applier.state.first != 0 {
		terms = l.applier.state.positions()
	}
	if err := l.copy.Empty(ctx, l.copy.Epoch(), terms); err != nil {
		return fmt.Errorf("%w: %w", errCopy, err)
	}
	l.applier.reset()
	return nil
}

// fork finds the last entry that the copy and the sequence have in common, and cuts the copy
// back to it, or empties it. It returns errFork.
func (l *Log) fork(ctx context.Context) error {
	ends, err := l.ends(ctx)
	if err != nil {
		return err
	}
	common, err := l.common(ctx, ends)
	if err != nil {
		return err
	}
	f := &l.follower
	simple, lost, settled := true, uint64(0), uint64(0)
	for m, err := range l.copy.Marks(ctx) {
		if err != nil {
			return fmt.Errorf("%w: %w", errCopy, err)
		}
		if m.Entry > common {
			simple = simple && m.Data[len(m.Data)-1]&plain != 0
			lost++
		} else if m.Data[len(m.Data)-1]&unsettled == 0 {
			settled = m.Entry
			break
		}
	}
	if !f.cut || settled < f.branch {
		f.branch = settled
	}
	f.cut, f.former, f.lost = true, max(f.former, l.applier.state.term().number), max(f.lost, lost)
	l.o.Logger.Error("eventlog: the engine has lost acknowledged entries; their events disappear, and streams that had them receive a gap",
		"last in common", common, "lost here", lost)
	f.primed = false
	if simple && common > 0 {
		err = l.copy.Cut(ctx, common, endOf(common))
		if err == nil {
			err = l.applier.load(ctx)
		}
	}
	if !simple || common == 0 || errors.Is(err, disklog.ErrTooMany) {
		err = l.anew(ctx)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errCopy, err)
	}
	return errFork
}

// common returns the last entry that the copy and the sequence have in common, or 0. If an entry is
// common, so are all before it, because its author had seen the sequence up to there.
func (l *Log) common(ctx context.Context, ends Ends) (uint64, error) {
	low, high := uint64(0), min(l.copy.Applied().Entry, ends.Last)+1 // low is common, high is not
	best := uint64(0)
	for high-low > 1 {
		middle := low + (high-low)/2
		m, ok, err := l.copy.LastMark(ctx, middle)
		if err != nil {
			return 0, fmt.Errorf("%w: %w", errCopy, err)
		}
		if !ok || m.Entry <= low {
			low = middle
			continue
		}
		same := false
		if m.Entry >= ends.First {
			e, err := l.readOne(ctx, ends.Fence, m.Entry)
			if err != nil {
				return 0, err
			}
			same, err = l.same(ctx, e)
			if err != nil {
				return 0, err
			}
			same = same && e.N == m.Entry
		}
		if same {
			low, best = middle, m.Entry
		} else {
			high = m.Entry
		}
	}
	return best, nil
}

// readOne returns the first entry from a number on.
func (l *Log) readOne(ctx context.Context, fence string, n uint64) (*Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, overdue)
	defer cancel()
	for batch, err := range l.sequence.Follow(ctx, fence, n) {
		if errors.Is(err, context.DeadlineExceeded) { // a hole at the end
			return &Entry{}, nil
		}
		if err != nil {
			return nil, err
		}
		if len(batch) > 0 {
			return &batch[0], nil
		}
	}
	return nil, ctx.Err()
}

// settleTerm makes sure that the engine's life has a term of its own, and that no position that
// was lost belongs to it. Then this node is live.
func (l *Log) settleTerm(ctx context.Context, fence string) {
	f, begun := &l.follower, time.Now()
	for ctx.Err() == nil {
		at := l.copy.Applied()
		branch, ok, err := l.branch(ctx, fence)
		if err == nil && ok {
			l.setLive(true)
			if f.cut {
				if f.lost > 0 {
					l.tellLoss()
				}
				f.cut, f.former, f.lost = false, 0, 0
			}
			return
		}
		if err == nil && (branch > 0 || time.Since(begun) > behind) {
			// A node that has nothing from before does not know where the new life began, and
			// would make all positions those of the new term. Others may know better.
			err = l.appendTerm(ctx, fence, branch, at)
		}
		if err != nil && ctx.Err() == nil {
			l.scarce.Do(func() { l.o.Logger.Warn("eventlog: cannot begin a new term; trying again", "error", err) })
		}
		select {
		case <-at.Moved:
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// branch returns where a new term must begin, or that none is needed.
func (l *Log) branch(ctx context.Context, fence string) (at uint64, ok bool, err error) {
	f := &l.follower
	l.applier.mu.RLock()
	settled := l.applier.state.term().fence == fence
	l.applier.mu.RUnlock()
	if f.cut {
		settled = settled && l.copy.ID(position(f.branch+1, 0)).Hi > f.former
		return f.branch, settled, nil
	}
	if settled {
		return 0, true, nil
	}
	for m, err := range l.copy.Marks(ctx) { // what was applied since the fence changed is of the new term
		if err != nil {
			return 0, false, err
		}
		if m.Data[len(m.Data)-1]&unsettled == 0 {
			return m.Entry, false, nil
		}
	}
	return 0, false, nil
}

func (l *Log) appendTerm(ctx context.Context, fence string, branch uint64, at disklog.Applied) error {
	l.applier.mu.RLock()
	s := &l.applier.state
	h := header{kind: kindTerm, flags: critical, epoch: s.epoch, term: s.term().number, name: name{l.session, l.counter.Add(1)},
		checked: at.Entry, floor: at.Time.UnixNano()}
	t := term{number: max(h.term, l.follower.former) + 1, branch: branch, fence: fence}
	l.applier.mu.RUnlock()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return l.sequence.Append(ctx, fence, t.append(h.append(nil)))
}
