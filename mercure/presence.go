package mercure

import (
	"context"
	"log/slog"
	"sync"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/hub"
)

// presenceBatch is how many updates go into the log at a time.
const presenceBatch = 256

// A Presence publishes a private update for each subscription that begins or
// ends, in that order, whatever the log takes for it.
type Presence struct {
	hub    *hub.Hub
	logger *slog.Logger

	mu     sync.Mutex
	queue  []eventlog.Record
	more   chan struct{} // holds one token when there is something in the queue
	ending chan struct{}
	ended  chan struct{}
}

// Watch begins to publish who comes to h and goes. Call it before streams open.
func Watch(h *hub.Hub, logger *slog.Logger) *Presence {
	p := &Presence{hub: h, logger: logger, more: make(chan struct{}, 1), ending: make(chan struct{}), ended: make(chan struct{})}
	h.Watch(p.note)
	go p.run()
	return p
}

// Close publishes what there is and ends.
func (p *Presence) Close() {
	close(p.ending)
	<-p.ended
}

func (p *Presence) note(i hub.StreamInfo, open bool) {
	var recs []eventlog.Record
	for _, s := range subscriptionsOf(&i, open) {
		if len(s.ID) <= hub.MaxTopicBytes { // else no topic can name it
			recs = append(recs, eventlog.Record{Topics: []string{s.ID}, Data: event(s), Private: true})
		}
	}
	p.mu.Lock()
	p.queue = append(p.queue, recs...)
	p.mu.Unlock()
	select {
	case p.more <- struct{}{}:
	default:
	}
}

func (p *Presence) run() {
	defer close(p.ended)
	for {
		select {
		case <-p.more:
			p.publish()
		case <-p.ending:
			p.publish()
			return
		}
	}
}

func (p *Presence) publish() {
	for {
		p.mu.Lock()
		n := min(len(p.queue), presenceBatch)
		recs := p.queue[:n:n]
		if p.queue = p.queue[n:]; len(p.queue) == 0 {
			p.queue = nil
		}
		p.mu.Unlock()
		if n == 0 {
			return
		}
		if _, err := p.hub.Publish(context.Background(), recs...); err != nil {
			p.logger.Warn("subscriptions that began or ended were not published", "count", n, "err", err)
		}
	}
}
