package shared

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/eventlog/disklog"
)

const (
	// patience is how long the engine may take to acknowledge an entry. After that, the
	// entry is submitted again.
	patience = 2 * time.Second

	// pause is how long a submitter waits after an attempt without a clear answer: the entry may
	// be there, and be seen meanwhile.
	pause = 100 * time.Millisecond

	// overdue is how long after an attempt an entry is submitted again that the engine has
	// acknowledged, and that does not come.
	overdue = 5 * time.Second
)

// Append adds recs in order: in one entry if they fit, and otherwise in several, so that an error
// after the first of these is ErrUncertain.
func (l *Log) Append(ctx context.Context, recs ...eventlog.Record) ([]eventlog.Result, error) {
	if err := l.usable(ctx); err != nil || len(recs) == 0 {
		return nil, err
	}
	var results []eventlog.Result
	for len(recs) > 0 {
		p, err := l.newPart(recs)
		if err == nil {
			err = l.appendPart(ctx, p)
		}
		if err != nil && len(results) > 0 && !errors.Is(err, eventlog.ErrUncertain) {
			err = fmt.Errorf("%w (%w)", eventlog.ErrUncertain, err)
		}
		if err != nil {
			return nil, err
		}
		recs, results = recs[len(p.values):], append(results, p.results...)
	}
	return results, nil
}

// newPart encodes as many records as one entry may hold.
func (l *Log) newPart(recs []eventlog.Record) (*part, error) {
	largest := l.largest()
	p := &part{kind: kindEvents, done: make(chan struct{})}
	for i := range recs {
		value := disklog.AppendRecord(nil, &recs[i])
		size := int64(len(value) + binary.MaxVarintLen32)
		if size > int64(largest) {
			return nil, fmt.Errorf("shared: a record of %d bytes is too large for the engine, which takes entries of at most %d bytes", len(value), l.sequence.Limits().Entry)
		}
		if i > 0 && (p.size+size > int64(min(maxEntry, largest)) || i == maxRecords) {
			break
		}
		p.values, p.keys, p.open = append(p.values, value), append(p.keys, string([]byte(recs[i].Key))), append(p.open, i)
		p.size += size
	}
	p.results = make([]eventlog.Result, len(p.values))
	return p, nil
}

// largest is how many bytes an entry's body may have.
func (l *Log) largest() int { return l.sequence.Limits().Entry - maxHeader }

// appendPart answers a part of events from the copy, if all their keys are known, and submits
// it otherwise.
func (l *Log) appendPart(ctx context.Context, p *part) error {
	if err := l.lookUp(ctx, p); err != nil {
		return err
	}
	if len(p.open) == 0 {
		return nil
	}
	return l.submit(ctx, p)
}

// lookUp sets the results of open records whose keys the copy has.
func (l *Log) lookUp(ctx context.Context, p *part) error {
	p.checked = l.copy.Applied().Entry
	open := p.open[:0]
	for _, i := range p.open {
		if p.keys[i] != "" {
			result, known, err := l.copy.Known(ctx, p.keys[i], p.values[i])
			if err != nil {
				return err
			}
			if known {
				p.results[i] = result
				continue
			}
		}
		open = append(open, i)
	}
	p.open = open
	return nil
}

// submit has a part submitted, and waits for the answer.
func (l *Log) submit(ctx context.Context, p *part) error {
	if err := l.queue.put(p); err != nil {
		return err
	}
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return l.queue.leave(p, ctx.Err())
	}
}

// usable returns why the log cannot be used.
func (l *Log) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if l.ctx.Err() != nil {
		return l.ending()
	}
	return nil
}

// submitter submits what waits, one entry at a time.
func (l *Log) submitter() {
	for {
		parts := l.queue.take(min(maxEntry, l.largest()))
		if parts == nil {
			return
		}
		if g := l.compose(parts); g != nil {
			l.send(g)
		}
	}
}

// compose makes an entry. It returns nil if nothing is left to submit.
func (l *Log) compose(parts []*part) *group {
	at := l.copy.Applied() // before anything is looked up
	g := &group{resolved: make(chan struct{})}
	h := header{kind: parts[0].kind, flags: critical, checked: at.Entry, floor: at.Time.UnixNano()}
	for _, p := range parts {
		if p.kind == kindEvents {
			if p.checked+l.o.span/2 <= at.Entry {
				if err := l.lookUp(context.Background(), p); err != nil {
					l.answer(p, l.notAdded(p, err))
					continue
				}
			}
			if len(p.open) == 0 {
				l.answer(p, nil)
				continue
			}
			for _, i := range p.open {
				if p.keys[i] != "" {
					h.keyed++
					h.checked = min(h.checked, p.checked)
				}
			}
		}
		g.parts = append(g.parts, p)
	}
	if len(g.parts) == 0 {
		return nil
	}
	g.counter = l.counter.Add(1)
	h.name = name{l.session, g.counter}
	a := l.applier
	a.mu.RLock() // until g is registered, so that renew sees g if the term changes
	defer a.mu.RUnlock()
	if a.state.first == 0 { // the copy was emptied meanwhile
		l.queue.mu.Lock()
		defer l.queue.mu.Unlock()
		l.queue.again(g.parts)
		return nil
	}
	now := a.state.life()
	g.parts = slices.DeleteFunc(g.parts, func(p *part) bool {
		if p.only == nil || *p.only == now {
			return false
		}
		l.answer(p, nil)
		return true
	})
	if len(g.parts) == 0 {
		return nil
	}
	for _, p := range g.parts {
		g.offsets = append(g.offsets, h.count)
		h.count += p.fresh()
	}
	h.epoch, h.term = now.epoch, now.term
	g.term, g.fence = h.term, a.state.term().fence
	g.entry = h.append(nil)
	for _, p := range g.parts {
		for _, i := range p.open {
			g.entry = appendBytes(g.entry, p.values[i])
		}
		if p.body != nil {
			g.entry = append(g.entry, p.body(&a.state)...)
		}
	}
	l.queue.register(g)
	return g
}

// fresh returns how many records the part adds to an entry.
func (p *part) fresh() int {
	if p.kind == kindEvents {
		return len(p.open)
	}
	return p.count
}

func (l *Log) answer(p *part, err error) {
	l.queue.mu.Lock()
	defer l.queue.mu.Unlock()
	l.queue.finish(p, err)
}

// register adds g to those that wait to be applied. If the log has ended, it answers g's parts.
func (q *queue) register(g *group) {
	q.mu.Lock()
	defer q.mu.Unlock()
	g.tried = time.Now()
	if q.ended != nil {
		for _, p := range g.parts {
			q.finish(p, q.ended)
		}
		return
	}
	q.pending[g.counter] = g
}

// send submits an entry until the engine has acknowledged it, or it was applied.
func (l *Log) send(g *group) {
	for l.ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(l.ctx, patience)
		err := l.sequence.Append(ctx, g.fence, g.entry)
		cancel()
		switch {
		case err == nil:
			l.queue.answered(true)
			return
		case errors.Is(err, ErrMoved): // a new term is to begin; it submits the parts again
			return
		case errors.Is(err, ErrRefused) && !g.perhaps:
			l.queue.answered(true)
			if errors.Is(err, ErrFull) {
				err = fmt.Errorf("%w (%w)", eventlog.ErrNoSpace, err)
			}
			l.queue.refuse(g, err)
			return
		}
		g.perhaps = true
		l.queue.answered(false)
		l.scarce.Do(func() {
			l.o.Logger.Warn("eventlog: the engine did not acknowledge an entry; trying again", "error", err)
		})
		select {
		case <-g.resolved:
			return
		case <-l.ctx.Done():
		case <-time.After(pause):
		}
	}
}

// notAdded returns err for a part of which the rest will not be submitted.
func (l *Log) notAdded(p *part, err error) error {
	if p.added {
		return fmt.Errorf("%w (%w)", eventlog.ErrUncertain, err)
	}
	return err
}

// refuse answers a group that will never be in the log.
func (q *queue) refuse(g *group, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.pending[g.counter] != g {
		return
	}
	delete(q.pending, g.counter)
	close(g.resolved)
	for _, p := range g.parts {
		if p.added {
			q.finish(p, fmt.Errorf("%w (%w)", eventlog.ErrUncertain, err))
			continue
		}
		q.finish(p, err)
	}
}

// resolve answers the parts of this node's entries that were applied.
func (l *Log) resolve(outcomes []outcome) {
	began := false
	for i := range outcomes {
		o := &outcomes[i]
		began = began || o.term
		if o.name.session != l.session || o.verdict == repeated {
			continue
		}
		q := &l.queue
		q.mu.Lock()
		g := q.pending[o.name.counter]
		delete(q.pending, o.name.counter)
		q.mu.Unlock()
		if g == nil {
			continue
		}
		close(g.resolved)
		again := g.parts
		if o.verdict == effective {
			again = l.settle(g, o)
		}
		q.mu.Lock()
		q.again(again)
		q.mu.Unlock()
	}
	if began {
		l.queue.renew(l.applier.state.term().number)
	}
}

// settle answers the parts of a group that had effect. It returns those of which records are
// left: their keys stand in an earlier entry, whose events have been deleted since.
func (l *Log) settle(g *group, o *outcome) (again []*part) {
	for k, p := range g.parts {
		p.buried = o.buried
		open := p.open[:0]
		for j, i := range p.open {
			if !o.events[g.offsets[k]+j] {
				open = append(open, i)
				continue
			}
			p.added = true
			p.results[i] = eventlog.Result{ID: l.copy.ID(position(o.n, g.offsets[k]+j))}
		}
		p.open = open
		err := error(nil)
		if len(open) > 0 {
			err = l.lookUp(context.Background(), p)
		}
		if err == nil && len(p.open) > 0 {
			again = append(again, p)
			continue
		}
		if err != nil {
			err = l.notAdded(p, err)
		}
		l.answer(p, err)
	}
	return again
}

// renew submits the parts of entries of earlier terms again: these entries are void, if they come
// at all.
func (q *queue) renew(term uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for counter, g := range q.pending {
		if g.term != term {
			delete(q.pending, counter)
			close(g.resolved)
			q.again(g.parts)
		}
	}
}

// nudge submits entries again that the engine has acknowledged and that did not come.
func (l *Log) nudge() {
	tick := time.NewTicker(overdue / 5)
	defer tick.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-tick.C:
			for _, g := range l.queue.overdue() {
				l.follower.anew() // the entry may have come and be lost again
				ctx, cancel := context.WithTimeout(l.ctx, patience)
				_ = l.sequence.Append(ctx, g.fence, g.entry)
				cancel()
			}
		}
	}
}

// overdue returns the groups whose last attempt was long ago.
func (q *queue) overdue() (late []*group) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.live {
		return nil
	}
	for _, g := range q.pending {
		if time.Since(g.tried) > overdue {
			g.tried = time.Now()
			late = append(late, g)
		}
	}
	return late
}

// Delete implements [eventlog.Log].
func (l *Log) Delete(ctx context.Context, after eventlog.ID, q eventlog.Query) (int, error) {
	if err := l.usable(ctx); err != nil {
		return 0, err
	}
	return l.copy.DeleteBy(ctx, after, q, func(ctx context.Context, events []*eventlog.Event) (int, error) {
		if len(events) == 0 {
			return 0, nil
		}
		ids := make([]eventlog.ID, len(events)) // the events need not stay in memory
		for i, e := range events {
			ids[i] = e.ID
		}
		p := control(kindDelete, len(ids), len(ids)*binary.MaxVarintLen64, func(s *state) []byte { return appendDelete(nil, s, ids) })
		if err := l.submit(ctx, p); err != nil {
			return 0, err
		}
		return p.buried, nil
	})
}

// appendDelete appends the positions of ids. A position that was lost and assigned again is another
// event's by now; in its place stands 0, which is never an event.
func appendDelete(b []byte, s *state, ids []eventlog.ID) []byte {
	for _, id := range ids {
		at := id.Lo
		if s.id(at) != id {
			at = 0
		}
		b = binary.AppendUvarint(b, at)
	}
	return b
}

// control returns a part of a kind other than events.
func control(k kind, count, size int, body func(*state) []byte) *part {
	return &part{kind: k, count: count, body: body, size: int64(size), done: make(chan struct{})}
}
