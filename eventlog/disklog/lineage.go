package disklog

import (
	"context"
	"slices"
	"sort"

	"github.com/tidings-sse/tidings/eventlog"
)

// A Term is a stretch of the positions of a shared log: one number of [eventlog.ID].Hi.
type Term struct {
	Number uint64
	From   uint64 // its first position; it ends where the next term begins
}

// A lineage is what turns a position into an ID. It is not modified.
type lineage struct {
	epoch uint64
	terms []Term // ascending; the first one begins at 0
}

func newLineage(epoch uint64, terms ...Term) *lineage {
	if len(terms) == 0 {
		terms = []Term{{}}
	}
	terms = slices.Clone(terms)
	terms[0].From = 0 // positions before are not retained
	return &lineage{epoch, terms}
}

// id returns the ID of a position.
func (g *lineage) id(at uint64) eventlog.ID {
	i := len(g.terms) - 1
	for at < g.terms[i].From { // most positions are of the newest term
		i--
	}
	return eventlog.ID{Epoch: g.epoch, Hi: g.terms[i].Number, Lo: at}
}

// branch returns the last position before the terms that follow a number. ok is false if
// no term follows.
func (g *lineage) branch(number uint64) (at uint64, ok bool) {
	i := sort.Search(len(g.terms), func(i int) bool { return g.terms[i].Number > number })
	if i == len(g.terms) {
		return 0, false
	}
	return max(g.terms[i].From, 1) - 1, true
}

func (g *lineage) encode() []byte {
	b := appendUint64s(nil, g.epoch)
	for _, t := range g.terms {
		b = appendUint64s(b, t.Number, t.From)
	}
	return b
}

func decodeLineage(b []byte) (*lineage, error) {
	v := make([]uint64, len(b)/8)
	if !readUint64s(b, v) || len(v) < 3 || len(v)%2 == 0 {
		return nil, errState
	}
	g := &lineage{epoch: v[0]}
	for i := 1; i < len(v); i += 2 {
		g.terms = append(g.terms, Term{v[i], v[i+1]})
	}
	if g.terms[0].From != 0 || !slices.IsSortedFunc(g.terms, func(a, b Term) int {
		if a.Number < b.Number && a.From < b.From {
			return -1
		}
		return 1
	}) {
		return nil, errState
	}
	return g, nil
}

func (l *Log) id(at uint64) eventlog.ID { return l.lineage.Load().id(at) }

// check returns an error if after is not a position from which reading can continue. It
// needs mu.
func (l *Log) check(after eventlog.ID) error {
	g := l.lineage.Load()
	if after.Epoch != g.epoch {
		return eventlog.ErrEpoch
	}
	// The position before the first event of a term may have the ID that precedes the event's.
	if g.id(after.Lo).Hi != after.Hi && g.id(after.Lo+1).Hi != after.Hi {
		branch, ok := g.branch(after.Hi)
		switch {
		case !ok:
			return eventlog.ErrAhead
		case branch < l.at.origin:
			return &eventlog.TrimmedError{Origin: l.id(l.at.origin)}
		}
		return &eventlog.LostError{Branch: l.id(min(branch, l.tip))}
	}
	switch {
	case after.Lo > l.tip:
		return eventlog.ErrAhead
	case after.Lo < l.at.origin:
		return &eventlog.TrimmedError{Origin: l.id(l.at.origin)}
	}
	return nil
}

// upTo returns the position up to which a read that ends at id goes. If the engine has lost
// id, that is the last position before the lost events: another event may have id's position.
func (l *Log) upTo(id eventlog.ID) uint64 {
	g := l.lineage.Load()
	if id.Epoch == g.epoch && g.id(id.Lo).Hi != id.Hi {
		if branch, ok := g.branch(id.Hi); ok {
			return branch
		}
	}
	return id.Lo
}

// Await implements [eventlog.Log].
func (l *Log) Await(ctx context.Context, id eventlog.ID) error {
	done, err := l.use(ctx)
	if err != nil {
		return err
	}
	defer done()
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.check(id)
}
