package mercure

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/hub"
)

// newPublisher returns a Presence that publishes only when the test calls it, its log
// output, and the event log.
func newPublisher(t *testing.T, r eventlog.Retention) (*Presence, *bytes.Buffer, eventlog.Log) {
	t.Helper()
	log := eventlog.NewMemory(r)
	h, err := hub.New(log, hub.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(h.Close(), log.Close()); err != nil {
			t.Error(err)
		}
	})
	logged := new(bytes.Buffer)
	return newPresence(h, PresenceOptions{Logger: slog.New(slog.NewTextHandler(logged, nil)), Retention: r, Budget: budget.New(0)}), logged, log
}

// streamOf returns a stream with n selectors of the given size, for a token's subject
// or for nobody.
func streamOf(subject string, n, size int) hub.StreamInfo {
	i := hub.StreamInfo{Peer: hub.Peer{Subject: subject}}
	for j := range n {
		topic := fmt.Sprint(j, "/")
		i.Selectors = append(i.Selectors, topic+strings.Repeat("x", size-len(topic)))
	}
	return i
}

// unlimited removes the rates.
func (c *presenceClass) unlimited() {
	c.events.SetLimit(rate.Inf)
	c.bytes.SetLimit(rate.Inf)
}

// Any number of anonymous streams with a hundred long selectors may come and go: they
// displace no published event.
func TestPresenceDisplacesNothing(t *testing.T) {
	for why, r := range map[string]eventlog.Retention{
		"bytes":  {Bytes: 4 << 20},
		"events": {Events: 4000},
	} {
		p, logged, log := newPublisher(t, r)
		p.anonymous.unlimited()
		const published = 1000
		for range published {
			if _, err := p.hub.Publish(t.Context(), eventlog.Record{Topics: []string{"orders"}, Data: make([]byte, 2000)}); err != nil {
				t.Fatal(err)
			}
		}
		for range 200 {
			for _, open := range []bool{true, false} {
				p.note(streamOf("", 100, 1000), open)
			}
			p.publish()
		}
		b, err := log.Bounds(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		kept := 0
		for _, err := range log.Read(t.Context(), b.Origin, eventlog.Query{Topics: []string{"orders"}}) {
			if err != nil {
				t.Fatal(err)
			}
			kept++
		}
		if kept != published {
			t.Errorf("%s: %d of %d events are left, of %+v", why, kept, published, b)
		}
		if events := b.Events - published; events == 0 || r.Events > 0 && events > r.Events/presencePart {
			t.Errorf("%s: %d updates are retained", why, events)
		}
		if p.dropped.Load()+p.published.Load() != 200*2*100 || strings.Count(logged.String(), "not published") != 1 {
			t.Errorf("%s: %d are published, %d dropped, and the log says %s", why, p.published.Load(), p.dropped.Load(), logged)
		}
		before := p.published.Load()
		p.note(streamOf("ann", 1, 10), true)
		if p.publish(); p.published.Load() != before+1 {
			t.Errorf("%s: a stream of a token that names someone is not published", why)
		}
	}
}

// As retention drops updates, there is room for others.
func TestPresenceComesBack(t *testing.T) {
	p, _, _ := newPublisher(t, eventlog.Retention{Bytes: 1 << 20})
	p.anonymous.unlimited()
	come := func() (published uint64) {
		before := p.published.Load()
		for range 100 {
			p.note(streamOf("", 10, 100), true)
			p.publish()
		}
		return p.published.Load() - before
	}
	if n := come(); n == 0 || n == 1000 {
		t.Fatalf("%d of 1000 updates are published", n)
	}
	if n := come(); n > 0 {
		t.Errorf("%d more are published", n)
	}
	for range 1000 {
		if _, err := p.hub.Publish(t.Context(), eventlog.Record{Topics: []string{"orders"}, Data: make([]byte, 2000)}); err != nil {
			t.Fatal(err)
		}
	}
	if n := come(); n == 0 {
		t.Error("none is published when the old ones have gone")
	}
}

// Updates have a rate for anonymous streams, and another for the rest.
func TestPresenceHasARate(t *testing.T) {
	p, _, _ := newPublisher(t, eventlog.Retention{})
	for _, tt := range []struct {
		why, subject  string
		events, bytes int // a second
	}{
		{"anonymous", "", 100, 100 << 10},
		{"named", "ann", 1000, 1 << 20},
	} {
		for size, least := range map[int]float64{10: 0.9, 1000: 0.5} { // bytes are estimated
			*p.class(&change{stream: streamOf(tt.subject, 1, size)}) = *newPresenceClass(tt.events, tt.bytes, eventlog.Retention{})
			before, begun := p.published.Load(), time.Now()
			for range 10_000 {
				p.note(streamOf(tt.subject, 2, size), true)
				p.publish()
			}
			most := float64(10 * min(tt.events, tt.bytes/(200+3*size))) // burst
			most += most / 10 * time.Since(begun).Seconds()
			if n := float64(p.published.Load() - before); n > most+1 || n < least*most {
				t.Errorf("%s, %d bytes: %v updates are published at once, want about %v", tt.why, size, n, most)
			}
		}
	}
}

// The updates that wait to be published are bounded, count against the budget, and are
// released.
func TestPresenceQueueIsBounded(t *testing.T) {
	p, _, _ := newPublisher(t, eventlog.Retention{})
	p.named.unlimited()
	for range 1000 {
		p.note(streamOf("ann", 100, 1000), true)
	}
	if used := p.share.Used(); used != p.size || used > presenceQueue || used < presenceQueue/2 || p.dropped.Load() == 0 {
		t.Errorf("%d bytes wait, %d in the budget", p.size, used)
	}
	p.publish()
	if p.size != 0 || p.share.Used() != 0 || p.queue != nil {
		t.Errorf("%d bytes are left, %d in the budget", p.size, p.share.Used())
	}
}
