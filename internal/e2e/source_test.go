package e2e

import (
	"fmt"
	"time"
)

// A report is a call of one of an EventSource's handlers: which one, the event's
// fields, and the readyState during the call.
type report struct {
	Source, Handler, Type, Data, ID, Origin string
	State                                   int
}

// The values of EventSource.readyState.
const (
	connecting = 0
	open       = 1
	closed     = 2
)

// A source is an EventSource in a tab.
type source struct {
	tab     *tab
	name    string
	reports chan report
}

// connection says how to open a source.
type connection struct {
	types           []string // event types to add a listener for
	withCredentials bool
}

// connect opens an EventSource in the tab, which must show the recorder.
func (b *tab) connect(url string, c connection) *source {
	b.t.Helper()
	b.mu.Lock()
	s := &source{tab: b, name: fmt.Sprintf("source %d", len(b.sources)+1), reports: make(chan report, 100_000)}
	b.sources[s.name] = s
	b.mu.Unlock()
	types := append([]string{}, c.types...) // not nil: null is not iterable
	if state := js[int](b, `connect($1, $2, $3, $4)`, s.name, url, types, c.withCredentials); state != connecting {
		b.t.Errorf("a new EventSource has readyState %d, not CONNECTING", state)
	}
	return s
}

// next waits for the source's next report.
func (s *source) next() report {
	s.tab.t.Helper()
	select {
	case r := <-s.reports:
		return r
	case <-time.After(patience):
		s.tab.t.Fatalf("%s: nothing happened within %s", s.name, patience)
		return report{}
	}
}

// expect waits for the next report, which must be of the given handler with the
// given readyState.
func (s *source) expect(handler string, state int) report {
	s.tab.t.Helper()
	r := s.next()
	if r.Handler != handler || r.State != state {
		s.tab.t.Fatalf("%s: want %s with readyState %d, got %+v", s.name, handler, state, r)
	}
	return r
}

// expectEvent waits for the next report, which must be a call of handler with the
// given event on an open source.
func (s *source) expectEvent(handler, typ, data, id string) {
	s.tab.t.Helper()
	r := s.expect(handler, open)
	if r.Type != typ || r.Data != data || r.ID != id {
		s.tab.t.Fatalf("%s: want %s %q with id %q, got %+v", s.name, typ, data, id, r)
	}
}

// nextEvent waits for the next event. The source may reconnect any number of times
// before; each time, onerror must see readyState CONNECTING.
func (s *source) nextEvent() report {
	s.tab.t.Helper()
	for {
		switch r := s.next(); {
		case r.Handler == "onerror" && r.State != connecting:
			s.tab.t.Fatalf("%s: readyState is %d in onerror: the browser has given up", s.name, r.State)
		case r.Handler == "onopen" && r.State != open:
			s.tab.t.Fatalf("%s: readyState is %d in onopen", s.name, r.State)
		case r.Handler != "onerror" && r.Handler != "onopen":
			return r
		}
	}
}

// expectNumbers waits for one event for each id, in order. Their data must be the
// numbers from first on.
func (s *source) expectNumbers(first int, ids []string) {
	s.tab.t.Helper()
	for i, id := range ids {
		if r := s.nextEvent(); r.Data != fmt.Sprint(first+i) || r.ID != id {
			s.tab.t.Fatalf("%s: want event %d with id %s, got %+v", s.name, first+i, id, r)
		}
	}
}

func (s *source) state() int {
	s.tab.t.Helper()
	return js[int](s.tab, `sources[$1].readyState`, s.name)
}

func (s *source) close() {
	s.tab.t.Helper()
	if state := js[int](s.tab, `{ const s = sources[$1]; s.close(); s.readyState }`, s.name); state != closed {
		s.tab.t.Errorf("%s: readyState is %d right after close()", s.name, state)
	}
}
