package pace

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestPaceRests measures how long a pace rests after a slice.
func TestPaceRests(t *testing.T) {
	const long, short, two = 3 * Turn, Turn / 2, 2
	for _, tt := range []struct {
		why        string
		took, last time.Duration // took is the length of the slice, last the time since an event
		others     time.Duration // how many other paces there are
		want       time.Duration
	}{
		{"while events are published it lasts as long as the turn", long, liveFor / 2, 0, long},
		{"beside others that may run, too, it does so still", long, liveFor / 2, two - 1, long},
		{"beside many others it lasts longer", long, liveFor / 2, 4*two - 1, 4 * long},
		{"in the middle of a turn there is none", short, liveFor / 2, 0, 0},
		{"on a quiet hub there is none", long, 2 * liveFor, 4*two - 1, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			live := Activity{half: two}
			live.Note()
			time.Sleep(tt.last)
			for range tt.others {
				defer live.Begin(false, nil).End()
			}
			p := live.Begin(false, nil)
			defer p.End()
			p.begun = p.begun.Add(-tt.took)
			begun := time.Now()
			p.Keep()
			if rest := time.Since(begun); rest != tt.want {
				t.Errorf("%s: it is %v", tt.why, rest)
			}
		})
	}
}

// TestActivityOutlivesNoStepOfTheClock checks that nothing counts as live after the clock
// is set back. Catching up would otherwise rest until the clock reaches the old time
// again.
func TestActivityOutlivesNoStepOfTheClock(t *testing.T) {
	var live Activity
	live.Note()
	if now := time.Now(); !live.Recent(now) || live.Recent(now.Add(-time.Hour)) || live.Recent(now.Add(time.Hour)) {
		t.Error("what was just published is not live, or is in another hour")
	}
}

// TestShortWorkGivesItsSlotBack looks at more than short work may, and waits for the slot
// that long work has.
func TestShortWorkGivesItsSlotBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		live := New(2)
		short, long := make(chan struct{}, 1), make(chan struct{}, 1)
		work := func(wanted bool) *Pace {
			short <- struct{}{}
			return live.BeginShort(short, func() (*Pace, error) {
				if long <- struct{}{}; !wanted {
					<-long
					return nil, errors.New("not wanted")
				}
				return live.Begin(false, long), nil
			})
		}
		p := work(true)
		for range shortLooks - 1 {
			if p.Over() {
				t.Fatal("short work is over")
			}
		}
		if len(short) != 1 || len(long) != 0 {
			t.Errorf("short work has given its slot back")
		}
		for range 64 {
			p.Over()
		}
		if len(short) != 0 || len(long) != 1 || p.Over() {
			t.Errorf("long work has %d slots for short work and %d for long", len(short), len(long))
		}
		p.End()
		slow := work(true)
		time.Sleep(shortTime)
		if slow.Keep(); len(short) != 0 || len(long) != 1 {
			t.Errorf("work that takes long has %d slots for short work and %d for long", len(short), len(long))
		}
		slow.End()
		q := work(false)
		q.Yield()
		if !q.Over() || len(short)+len(long) != 0 {
			t.Errorf("work that is not wanted goes on, with %d slots", len(short)+len(long))
		}
		q.End()
		if n := live.paces.Load(); n != 0 {
			t.Errorf("%d paces are left", n)
		}
	})
}
