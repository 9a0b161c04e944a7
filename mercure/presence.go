package mercure

import (
	"context"
	"log/slog"
	"sync"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/hub"
)

const (
	// presenceBatch is how many updates go into the log at a time.
	presenceBatch = 256
	// presenceBudget is how many bytes of what streams asked for may wait to be
	// published.
	presenceBudget = 64 << 20
)

// A Presence publishes a private update for each subscription that begins or
// ends, in that order, whatever the log takes for it. What does not fit into its
// budget, since streams come and go faster than the log takes it, is not
// published, and reported in the hub's log.
type Presence struct {
	hub    *hub.Hub
	logger *slog.Logger

	mu     sync.Mutex
	queue  []change
	size   int           // bytes of the queue
	missed int           // changes that did not fit
	more   chan struct{} // holds one token when there is something in the queue
	ending chan struct{}
	ended  chan struct{}
}

// A change is a stream that has opened or closed. It becomes an update for each
// of up to a thousand topics when its turn comes, and not before.
type change struct {
	stream hub.StreamInfo
	open   bool
}

// size returns roughly how many bytes c holds.
func (c *change) size() int {
	n := 500 + len(c.stream.Payload)
	for _, topic := range c.stream.Selectors {
		n += 16 + len(topic)
	}
	return n
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
	c := change{i, open}
	p.mu.Lock()
	if size := c.size(); p.size+size <= presenceBudget {
		p.queue, p.size = append(p.queue, c), p.size+size
	} else {
		p.missed++
	}
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

// publish publishes what is in the queue, until there is nothing.
func (p *Presence) publish() {
	var batch []eventlog.Record
	bytes := 0
	flush := func() {
		if len(batch) == 0 {
			return
		}
		if _, err := p.hub.Publish(context.Background(), batch...); err != nil {
			p.logger.Warn("subscriptions that began or ended were not published", "count", len(batch), "err", err)
		}
		batch, bytes = nil, 0
	}
	for c, ok := p.next(); ok; c, ok = p.next() {
		for _, topic := range c.stream.Selectors {
			s := subscriptionOf(&c.stream, topic, c.open)
			if len(s.ID) > hub.MaxTopicBytes { // no topic can name it
				continue
			}
			batch = append(batch, eventlog.Record{Topics: []string{s.ID}, Data: event(s), Private: true})
			if bytes += len(batch[len(batch)-1].Data); len(batch) == presenceBatch || bytes > 1<<20 {
				flush()
			}
		}
	}
	flush()
}

// next takes a change out of the queue.
func (p *Presence) next() (c change, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.missed > 0 && p.size < presenceBudget/2 { // once for many
		p.logger.Warn("streams opened or closed faster than the log takes it, and some of them were not published", "streams", p.missed)
		p.missed = 0
	}
	if len(p.queue) == 0 {
		p.queue = nil
		return c, false
	}
	c = p.queue[0]
	p.queue[0] = change{}
	p.queue = p.queue[1:]
	p.size -= c.size()
	return c, true
}
