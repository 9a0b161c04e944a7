package shared

import (
	"context"
	"math/rand/v2"
	"time"
)

// trimmer drops the events beyond the limits of retention, until the log ends.
func (l *Log) trimmer() {
	for {
		// All nodes look; the first one that finds something saves the others the work.
		wait := l.o.TrimEvery/2 + time.Duration(rand.Int64N(int64(l.o.TrimEvery)))
		select {
		case <-l.ctx.Done():
			return
		case <-time.After(wait):
		}
		if live, _ := l.follower.state(); !live {
			continue
		}
		if err := l.trim(l.ctx); err != nil && l.ctx.Err() == nil {
			l.o.Logger.Warn("eventlog: retention", "error", err)
		}
	}
}

// trim appends a trim entry if events exceed the limits, and trims the sequence.
func (l *Log) trim(ctx context.Context) error {
	at, newest, ok, err := l.copy.Excess(ctx, l.o.Retention, l.o.Clock.Now())
	if err != nil || !ok {
		return err
	}
	a := l.applier
	a.mu.RLock()
	t := trim{origin: at, dropped: unixNano(newest), purge: a.state.purgeable(at, a.span)}
	purged, now := a.state.purged, a.state.life()
	a.mu.RUnlock()
	if t.purge > purged {
		if err := l.carry(ctx, t.purge+2*a.span); err != nil {
			return err
		}
	}
	p := control(kindTrim, 0, 64, func(s *state) []byte {
		t.level, t.terms = s.level, s.terms
		return t.append(nil)
	})
	p.only = &now // origin and purge name entries; the next look finds what is still too much
	if err := l.submit(ctx, p); err != nil {
		return err
	}
	return l.purge(ctx)
}

// purgeable returns the last entry that no node needs once the origin is at a position.
func (s *state) purgeable(origin, span uint64) uint64 {
	purge := s.purged
	for _, n := range s.trims {
		if n+2*span < entryOf(origin) && n-1 > purge {
			purge = n - 1
		}
	}
	return purge
}

// purge trims the sequence up to where trim entries allow it.
func (l *Log) purge(ctx context.Context) error {
	l.applier.mu.RLock()
	upTo := l.applier.state.purged
	l.applier.mu.RUnlock()
	if upTo == 0 {
		return nil
	}
	return l.sequence.Trim(ctx, upTo)
}

// carryAtOnce is how many facts one entry carries at most.
const carryAtOnce = 256

// carry repeats the facts that stand in no entry after one.
func (l *Log) carry(ctx context.Context, after uint64) error {
	for {
		var body []byte
		count := 0
		a := l.applier
		a.mu.RLock()
		for key, f := range a.state.toCarry(after, carryAtOnce) {
			if len(body)+int(factSize(key, f.value)) > min(maxEntry, l.largest()) {
				break
			}
			body = appendFact(body, key, fact{value: f.value, until: f.until, at: f.at})
			count++
		}
		now := a.state.life()
		a.mu.RUnlock()
		if count == 0 {
			return nil
		}
		p := control(kindFact, count, len(body), func(*state) []byte { return body })
		p.only = &now // the entries that put the facts may be lost in another
		if err := l.submit(ctx, p); err != nil {
			return err
		}
	}
}
