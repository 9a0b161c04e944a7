package hub

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
)

// requests are subscriptions by kind. Each call parses the i-th of its kind anew.
var requests = map[string]struct {
	ask    func(t *testing.T, i int) (Subscription, StreamOptions)
	shared bool // all are alike, so that their memory is shared
}{
	"one topic": {func(t *testing.T, _ int) (Subscription, StreamOptions) {
		return Subscription{Selectors: mustParse(t, "news")}, StreamOptions{}
	}, true},
	"one token with a payload of 45 KB": {func(t *testing.T, _ int) (Subscription, StreamOptions) {
		return Subscription{Selectors: mustParse(t, "news")}, StreamOptions{Peer: Peer{Subject: "ann", Payload: `"` + strings.Repeat("x", 45_000) + `"`}}
	}, true},
	"one token with four templates": {func(t *testing.T, _ int) (Subscription, StreamOptions) {
		return Subscription{Selectors: mustParse(t, "news"), Grant: mustParse(t, fourTemplates(strings.Repeat("x", 300))...)}, StreamOptions{Peer: Peer{Subject: "ann"}}
	}, true},
	"envelopes of one token with four templates": {func(t *testing.T, _ int) (Subscription, StreamOptions) {
		return Subscription{Selectors: mustParse(t, "news"), Grant: mustParse(t, fourTemplates(strings.Repeat("x", 300))...)}, StreamOptions{Envelope: InJSON}
	}, true},
	"long topics": {func(t *testing.T, i int) (Subscription, StreamOptions) {
		return Subscription{Selectors: mustParse(t, longTexts(i, 15)...)}, StreamOptions{}
	}, false},
	"templates": {func(t *testing.T, i int) (Subscription, StreamOptions) {
		return Subscription{Selectors: mustParse(t, fourTemplates(fmt.Sprint(i, "/"))...)}, StreamOptions{}
	}, false},
	"types": {func(t *testing.T, i int) (Subscription, StreamOptions) {
		return Subscription{Selectors: mustParse(t, "news"), Types: longTexts(i, 15)}, StreamOptions{}
	}, false},
	"a token each, with a payload": {func(t *testing.T, i int) (Subscription, StreamOptions) {
		return Subscription{Selectors: mustParse(t, "news")}, StreamOptions{Peer: Peer{TokenID: fmt.Sprint(i), Payload: longTexts(i, 1)[0]}, Expires: time.Now().Add(time.Hour)}
	}, false},
	"a token each, with templates": {func(t *testing.T, i int) (Subscription, StreamOptions) {
		return Subscription{Selectors: mustParse(t, "news"), Grant: mustParse(t, fourTemplates(fmt.Sprint(i, "/"))...)}, StreamOptions{Peer: Peer{Subject: fmt.Sprint(i)}}
	}, false},
	"a browser each": {func(t *testing.T, i int) (Subscription, StreamOptions) {
		return Subscription{Selectors: mustParse(t, "news")}, StreamOptions{Peer: Peer{UserAgent: longTexts(i, 1)[0]}}
	}, false},
}

func fourTemplates(prefix string) (templates []string) {
	for _, form := range []string{"a/{id}", "b/{+id}/c", "{/d*}", "e/{f}/{g}"} {
		templates = append(templates, "users/"+prefix+form)
	}
	return templates
}

func longTexts(i, n int) (texts []string) {
	for j := range n {
		texts = append(texts, fmt.Sprint(i, "/", j, "/", strings.Repeat("x", 2000)))
	}
	return texts
}

func newLimitedHub(t *testing.T, limit int64) *Hub {
	t.Helper()
	log := eventlog.NewMemory(eventlog.Retention{})
	h, err := New(log, Options{Budget: budget.New(limit)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(h.Close(), log.Close()); err != nil {
			t.Error(err)
		}
	})
	return h
}

// TestWeightOfStreams opens streams of each kind, and compares the bytes counted with the
// growth of the heap. What streams have in common is held once, and everything is given
// back.
func TestWeightOfStreams(t *testing.T) {
	for name, r := range requests {
		t.Run(name, func(t *testing.T) {
			streams := int64(3000)
			if !r.shared {
				streams = 500
			}
			h := newLimitedHub(t, 0)
			share := h.budget.Share(budget.Subscriptions)
			before := liveHeap()
			open := make([]*Stream, streams)
			for i := range open {
				s, o := r.ask(t, i)
				var err error
				if open[i], err = h.Stream(t.Context(), s, o); err != nil {
					t.Fatal(err)
				}
			}
			held, counted := (liveHeap()-before)/streams, share.Used()/streams
			t.Logf("a stream holds %d bytes, and %d are counted", held, counted)
			if counted < held*2/3 || counted > held*2 {
				t.Errorf("a stream holds %d bytes, and %d are counted", held, counted)
			}
			if r.shared && held > 1000 {
				t.Errorf("a stream holds %d bytes, though all ask for the same", held)
			}
			if i := one(t, h, StreamFilter{ID: open[0].ID()}); i.Bytes < counted*9/10 || !r.shared && i.Bytes > 3*counted {
				t.Errorf("a stream is said to hold %d bytes, and %d are counted for each", i.Bytes, counted)
			}
			for _, st := range open {
				st.Close()
			}
			w := h.weights
			if share.Used() != 0 || w.heavy != 0 || len(w.agents)+len(w.bearers)+len(w.payloads)+len(w.grants)+len(w.templates) != 0 {
				t.Errorf("%d bytes are counted after all have gone, %d of them as heavy, with %+v", share.Used(), w.heavy, w)
			}
			runtime.KeepAlive(open)
		})
	}
}

// TestStreamsKeepToBudget opens streams of each kind until one is refused: with a limit
// on the whole because they have used up their share, and without one because they have
// used up heavyWeight.
func TestStreamsKeepToBudget(t *testing.T) {
	for name, r := range requests {
		if r.shared || name == "a browser each" || name == "templates" || name == "a token each, with templates" { // no stream of those is heavy
			continue
		}
		for _, limit := range []int64{0, 4 << 20} {
			h := newLimitedHub(t, limit)
			h.weights.limit = 1 << 20
			if limit > 0 {
				h.weights.limit = 1 << 30
			}
			share := h.budget.Share(budget.Subscriptions)
			var open []*Stream
			var err error
			for err == nil {
				s, o := r.ask(t, len(open))
				o.Request = 8 << 10
				var st *Stream
				if st, err = h.Stream(t.Context(), s, o); err == nil {
					open = append(open, st)
				}
				if len(open) > 1000 {
					t.Fatalf("%s, limit %d: %d streams are open, which hold %d bytes", name, limit, len(open), share.Used())
				}
			}
			if err != ErrTooManySelectors || len(open) < 10 || limit > 0 && share.Used() > share.Most() {
				t.Errorf("%s, limit %d: %d streams hold %d bytes, then %v", name, limit, len(open), share.Used(), err)
			}
			used := share.Used()
			open[0].Close()
			s, o := r.ask(t, 0)
			if open[0], err = h.Stream(t.Context(), s, o); err != nil || share.Used() > used {
				t.Errorf("%s, limit %d: one that leaves makes no room for another: %v", name, limit, err)
			}
			for _, st := range open {
				st.Close()
			}
			if share.Used() != 0 || h.weights.heavy != 0 {
				t.Errorf("%s, limit %d: %d bytes are counted after all have gone", name, limit, share.Used())
			}
		}
	}
}

// TestTemplatesAreCountedOnce checks that a template of several feeds is counted with one
// of them, as long as any has it.
func TestTemplatesAreCountedOnce(t *testing.T) {
	h := newLimitedHub(t, 0)
	share := h.budget.Share(budget.Subscriptions)
	alone := openStream(t, h, From{}, fourTemplates("")...)
	first := share.Used()
	var open []*Stream
	for i := range 10 {
		open = append(open, openStream(t, h, From{}, slices.Concat(fourTemplates(""), []string{fmt.Sprint(i)})...))
	}
	each := (share.Used() - first) / 10
	if each > first-2000 {
		t.Errorf("the first stream takes %d bytes, and the others, with the same templates, %d each", first, each)
	}
	before := share.Used()
	alone.Close()
	for _, st := range open[1:] {
		st.Close()
	}
	if left := share.Used(); left > first+300 || left < first-300 {
		t.Errorf("the last stream with the templates takes %d bytes, the first did %d; all took %d", left, first, before)
	}
	if f := open[0].cursor.Feed(); f.Weight() != f.Counted() {
		t.Errorf("the last feed counts for %d bytes and weighs %d", f.Counted(), f.Weight())
	}
	open[0].Close()
	if share.Used() != 0 || h.weights.heavy != 0 {
		t.Errorf("%d bytes are counted after all have gone", share.Used())
	}
}
