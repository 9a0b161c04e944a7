package mercure

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/topic"
)

const (
	// presenceBatch is how many updates are appended to the log at a time.
	presenceBatch = 256
	// presenceQueue is how many bytes of updates may wait to be published.
	presenceQueue = 8 << 20
	// anonymousSelectors is how many subscriptions are published for a stream whose
	// token names nobody.
	anonymousSelectors = 10
)

// PresenceOptions configures a [Presence]. The zero value works.
type PresenceOptions struct {
	Logger    *slog.Logger       // nil: slog.Default()
	Retention eventlog.Retention // the retention of the hub's log, of which updates may take a tenth
	Budget    *budget.Budget     // the account for updates that wait to be published; nil: budget.New(0)
}

// A Presence publishes a private update for each subscription that begins or ends
// (draft-dunglas-mercure-07, "Active Subscriptions"). It keeps to a rate and to a part
// of the log (see [presenceClass]) and drops updates beyond them, so that streams that
// come and go cannot displace published events. Make one with [Watch]; it is also a
// [prometheus.Collector].
type Presence struct {
	hub    *hub.Hub
	logger *slog.Logger
	share  *budget.Share

	mu     sync.Mutex
	queue  []change
	size   int64         // bytes of the queue
	more   chan struct{} // holds one token while the queue is not empty
	ending chan struct{}
	ended  chan struct{}

	anonymous, named *presenceClass
	presenceCounts
	complaint rate.Sometimes
}

// A change is a stream that has opened or closed. It becomes up to a thousand updates,
// one for each topic, only when its turn comes.
type change struct {
	stream hub.StreamInfo
	open   bool
}

// anonymous reports whether the stream has no token, or one that names nobody.
func (c *change) anonymous() bool {
	return c.stream.Subject == "" && c.stream.TokenID == "" && c.stream.Payload == ""
}

// size returns roughly how many bytes the updates of c will have, which is more than c
// itself holds.
func (c *change) size() int64 {
	n := 500
	for _, topic := range c.stream.Selectors {
		n += 300 + 3*len(topic) + len(c.stream.Payload)
	}
	return int64(n)
}

// Watch starts to publish updates about the streams of h, in a goroutine that
// [Presence.Close] ends. Call it before streams open.
func Watch(h *hub.Hub, o PresenceOptions) *Presence {
	p := newPresence(h, o)
	h.Watch(p.note)
	go p.run()
	return p
}

func newPresence(h *hub.Hub, o PresenceOptions) *Presence {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Budget == nil {
		o.Budget = budget.New(0)
	}
	return &Presence{
		hub: h, logger: o.Logger, share: o.Budget.Share(budget.Publishes),
		more: make(chan struct{}, 1), ending: make(chan struct{}), ended: make(chan struct{}),
		anonymous: newPresenceClass(100, 100<<10, o.Retention),
		named:     newPresenceClass(1000, 1<<20, o.Retention),
		complaint: rate.Sometimes{Interval: time.Minute},
	}
}

// Close publishes the updates that are waiting, stops the goroutine and waits for it.
// Call it once, before the hub is closed.
func (p *Presence) Close() {
	close(p.ending)
	<-p.ended
}

func (p *Presence) class(c *change) *presenceClass {
	if c.anonymous() {
		return p.anonymous
	}
	return p.named
}

func (p *Presence) note(i hub.StreamInfo, open bool) {
	c := change{i, open}
	if c.anonymous() && len(i.Selectors) > anonymousSelectors {
		p.drop(len(i.Selectors) - anonymousSelectors)
		c.stream.Selectors = slices.Clone(i.Selectors[:anonymousSelectors]) // a copy, so that the others can be freed
	}
	if size := c.size(); !p.class(&c).allow(len(c.stream.Selectors), int(size)) || !p.enqueue(c, size) {
		p.drop(len(c.stream.Selectors))
		return
	}
	select {
	case p.more <- struct{}{}:
	default:
	}
}

// enqueue adds c to the queue and reports whether there was room.
func (p *Presence) enqueue(c change, size int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.size+size > presenceQueue || !p.share.Take(size) {
		return false
	}
	p.queue, p.size = append(p.queue, c), p.size+size
	return true
}

// drop counts updates that are not published. It logs them at most once a minute.
func (p *Presence) drop(n int) {
	p.dropped.Add(uint64(n))
	p.complaint.Do(func() {
		p.logger.Warn("streams open and close faster than their subscriptions may be published, or these take their part of the log; some were not published", "in_all", p.dropped.Load())
	})
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

// A presenceUpdates is a batch of updates that wait to be appended to the log.
type presenceUpdates struct {
	records []eventlog.Record
	bytes   int
	of      map[*presenceClass]*presenceLot
}

// publish publishes until the queue is empty.
func (p *Presence) publish() {
	var b presenceUpdates
	for c, ok := p.next(); ok; c, ok = p.next() {
		for _, topic := range c.stream.Selectors {
			p.add(&b, &c, topic)
			if len(b.records) == presenceBatch || b.bytes > 1<<20 {
				p.flush(&b)
			}
		}
	}
	p.flush(&b)
}

// add adds the update about one subscription to a batch, if the log has room for it.
func (p *Presence) add(b *presenceUpdates, c *change, selector string) {
	s := subscriptionOf(&c.stream, selector, c.open)
	if len(s.ID) > topic.MaxBytes { // no topic can name it
		return
	}
	r := eventlog.Record{Topics: []string{s.ID}, Data: event(s), Private: true}
	class, size := p.class(c), int64(len(s.ID)+len(r.Data)+recordOverhead)
	if !class.reserve(size, p.hub) {
		p.drop(1)
		return
	}
	if b.of == nil {
		b.of = map[*presenceClass]*presenceLot{}
	}
	if b.of[class] == nil {
		b.of[class] = new(presenceLot)
	}
	b.of[class].bytes += size
	b.of[class].events++
	b.records = append(b.records, r)
	b.bytes += len(r.Data)
}

// flush appends a batch to the log.
func (p *Presence) flush(b *presenceUpdates) {
	if len(b.records) == 0 {
		return
	}
	results, err := p.hub.Publish(context.Background(), b.records...)
	for class, lot := range b.of {
		if err != nil {
			class.release(*lot)
			continue
		}
		lot.last = results[len(results)-1].ID
		class.keep(*lot)
	}
	if err != nil {
		p.dropped.Add(uint64(len(b.records)))
		p.logger.Warn("subscriptions that began or ended were not published", "count", len(b.records), "err", err)
	} else {
		p.published.Add(uint64(len(b.records)))
	}
	*b = presenceUpdates{}
}

// next takes a change out of the queue.
func (p *Presence) next() (c change, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		p.queue = nil
		return c, false
	}
	c = p.queue[0]
	p.queue[0] = change{}
	p.queue = p.queue[1:]
	size := c.size()
	p.size -= size
	p.share.Give(size)
	return c, true
}
