//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/tidings-sse/tidings/internal/rig"
)

type killCheck struct {
	Kills       int           `default:"30" help:"How often the hub is killed."`
	Publishers  int           `default:"16" help:"How many publish at the same time."`
	Subscribers int           `default:"500" help:"How many subscribe: some to a part of it, some late and from the beginning."`
	Rate        float64       `default:"1000" help:"Events a second, of all publishers together."`
	MinAlive    time.Duration `default:"200ms" help:"Shortest life of the hub, from its readiness on."`
	MaxAlive    time.Duration `default:"2s" help:"Longest life of the hub."`
	Patience    time.Duration `default:"2m" help:"How long subscribers may take to have it all at the end."`
}

// A killRun is one run of the check.
type killRun struct {
	*killCheck
	hub        *process
	publishers []*publisher
	watchers   []*watcher
	late       []*watcher   // watchers that have not begun
	starts     *rig.Latency // from a kill until the hub is ready again
	published  time.Duration
}

// A watcher is a subscriber and everything that it has received.
type watcher struct {
	subscriber
	wants func(e event) bool
	seen  []number
}

func (c *killCheck) check(ctx context.Context, s *setup) (*report, error) {
	h, err := s.startHub("--retry", "100ms", "--retain-bytes", "16GiB")
	if err != nil {
		return nil, err
	}
	defer h.kill()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	run := &killRun{killCheck: c, hub: h, starts: rig.NewLatency()}
	if err := run.subscribe(ctx); err != nil {
		return nil, err
	}
	if err := run.killUnderLoad(ctx); err != nil {
		return nil, err
	}
	if err := run.publishEnd(ctx); err != nil {
		return nil, err
	}
	subs := make([]*subscriber, len(run.watchers))
	for i, w := range run.watchers {
		subs[i] = &w.subscriber
	}
	missing := wait(subs, c.Patience)
	cancel() // nothing may write while judge reads
	for _, s := range subs {
		<-s.ended
	}
	return run.judge(missing)
}

// Each event has a topic of its publisher, a topic of its number, and a type.

func topicOf(pub uint32) string {
	return fmt.Sprintf("https://checker.example/%d/%d", pub%4, pub)
}

var parities = []string{"even", "odd"}

func typeOf(seq uint32) string { return []string{"", "price", "news"}[seq%3] }

// sizeOf returns mostly small sizes, sometimes a larger one, and rarely one that does
// not fit the hub's buffers.
func sizeOf(seq uint32) int {
	switch {
	case seq%500 == 499:
		return 60_000
	case seq%50 == 49:
		return 8_000
	}
	return 20 + int(seq*37%200)
}

// watches are the subscriptions of the watchers, by turns.
var watches = []struct {
	query url.Values
	wants func(e event) bool
}{
	{url.Values{"topic": {"*"}, "last_event_id": {"earliest"}}, everything},
	{url.Values{"topic": {"*"}, "type": {"message", "price"}}, func(e event) bool { return e.seq%3 != 2 }},
	{url.Values{"topic": {"https://checker.example/1/{publisher}"}}, func(e event) bool { return e.pub%4 == 1 }},
	{url.Values{"topic": {"even", topicOf(1)}}, func(e event) bool { return e.seq%2 == 0 || e.pub == 1 }},
	{url.Values{"topic": {"odd"}, "last_event_id": {"earliest"}}, func(e event) bool { return e.seq%2 == 1 }},
	{everyTopic, everything}, {everyTopic, everything}, {everyTopic, everything}, {everyTopic, everything}, {everyTopic, everything},
}

var everyTopic = url.Values{"topic": {"*"}}

func everything(event) bool { return true }

// subscribe connects the watchers, except those that begin late.
func (r *killRun) subscribe(ctx context.Context) error {
	transport := newTransport(0)
	var now []*subscriber
	for i := range r.Subscribers {
		kind := watches[i%len(watches)]
		w := &watcher{subscriber: subscriber{query: kind.query, transport: transport}, wants: kind.wants}
		w.each = func(e event, id string) (last bool) {
			if e.pub == endOfRun {
				return true
			}
			w.seen = append(w.seen, e.number(id))
			return false
		}
		r.watchers = append(r.watchers, w)
		if kind.query.Has("last_event_id") {
			r.late = append(r.late, w)
			continue
		}
		if err := w.start(ctx, r.hub); err != nil {
			return err
		}
		now = append(now, &w.subscriber)
	}
	return placed(ctx, now)
}

// killUnderLoad publishes while it kills and restarts the hub. The publishers stop just
// before the last kill, some with answers outstanding.
func (r *killRun) killUnderLoad(ctx context.Context) error {
	publishing, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, r.Publishers)
	var wg sync.WaitGroup
	for i := range r.Publishers {
		p := newPublisher(r.hub, uint32(i), manner(i)%manners)
		p.topics = func(seq uint32) []string { return []string{topicOf(p.num), parities[seq%2]} }
		p.types, p.size = typeOf, sizeOf
		p.forsake = i%8 == 7
		r.publishers = append(r.publishers, p)
		wg.Go(func() {
			if err := p.run(publishing, r.Rate/float64(r.Publishers), nil); err != nil {
				failed <- err
			}
		})
	}
	begin := now()
	late := len(r.late)
	for i := 1; i <= r.Kills; i++ {
		select {
		case <-time.After(r.MinAlive + rand.N(r.MaxAlive-r.MinAlive+1)):
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
		if i == r.Kills {
			stop()
			r.published = now() - begin
		}
		killed := now()
		r.hub.kill()
		if err := r.hub.start(); err != nil {
			return err
		}
		r.starts.Add(now() - killed)
		for len(r.late) > late-late*i/r.Kills {
			if err := r.late[0].start(ctx, r.hub); err != nil {
				return err
			}
			r.late = r.late[1:]
		}
		progress("kill %d of %d: ready again after %s", i, r.Kills, millis(now()-killed))
	}
	wg.Wait()
	close(failed)
	return <-failed
}

// publishEnd publishes events that every watcher takes for the end, whatever its topics
// and types.
func (r *killRun) publishEnd(ctx context.Context) error {
	end := newPublisher(r.hub, endOfRun, textWithID)
	defer end.client.CloseIdleConnections()
	topics := parities
	for _, p := range r.publishers {
		topics = append(topics, topicOf(p.num))
	}
	end.topics, end.types = func(uint32) []string { return topics }, typeOf
	for range 3 {
		if err := end.publish(ctx, 1); err != nil {
			return err
		}
	}
	return nil
}

// judge compares the acknowledged events with the log, and the log with what each
// watcher has received.
func (r *killRun) judge(missing int) (*report, error) {
	rep := &report{Check: "kill"}
	rep.add("kills", r.Kills)
	rep.add("ready again after, median", millis(r.starts.Quantile(0.5)))
	rep.add("ready again after, longest", millis(r.starts.Max()))
	log, err := r.hub.retained("*")
	if err != nil {
		return nil, err
	}
	gone := judgeLog(rep, r.publishers, r.published, log)

	var v verdict
	delivered, reconnects := 0, 0
	for _, w := range r.watchers {
		v.add(compare(w.wanted(log), w.wanted(gone), w.seen))
		v.add(w.verdict())
		delivered += len(w.seen)
		reconnects += int(w.opens.Load()) - 1
	}
	rep.add("subscribers", len(r.watchers))
	rep.add("reconnections", reconnects)
	rep.add("deliveries", delivered)
	rep.zero("subscribers that did not reach the end", missing)
	v.report(rep)
	r.hub.judge(rep)
	return rep, nil
}

// wanted returns the events that w asked for.
func (w *watcher) wanted(events []logged) (n []number) {
	for _, e := range events {
		if w.wants(e.event) {
			n = append(n, e.number(e.id))
		}
	}
	return n
}

// judgeLog compares the log with the ledgers of publishers, which are numbered from 0
// and have published for the given time. It returns the acknowledged events that the
// log lacks.
func judgeLog(rep *report, publishers []*publisher, published time.Duration, log []logged) (gone []logged) {
	logs := make([][]logged, len(publishers)) // by publisher
	for _, e := range log {
		logs[e.pub] = append(logs[e.pub], e)
	}
	var v verdict
	acked, sent, retries, duplicates, surplus := 0, 0, 0, 0, 0
	for i, p := range publishers {
		var expected, held []number
		there := map[uint32]bool{}
		for _, e := range logs[i] {
			if p.ledger[e.seq].acked || there[e.seq] {
				held = append(held, e.number(e.id))
			} else {
				surplus++
			}
			there[e.seq] = true
		}
		for i, entry := range p.ledger {
			e := logged{event{pub: p.num, seq: uint32(i)}, entry.id}
			if entry.acked {
				expected = append(expected, e.number(e.id))
				if !there[e.seq] {
					gone = append(gone, e)
				}
			}
		}
		v.add(compare(expected, nil, held))
		acked += len(expected)
		sent += len(p.ledger)
		retries += p.retries
		duplicates += p.duplicates
	}
	rep.add("publishers", len(publishers))
	rep.add("events sent", sent)
	rep.add("requests sent again", retries)
	rep.add("answered as duplicates", duplicates)
	rep.add("acknowledged", acked)
	rep.add("acknowledged a second", int(float64(acked)/published.Seconds()))
	rep.add("not acknowledged", sent-acked)
	rep.add("not acknowledged, yet in the log", surplus)
	rep.zero("acknowledged, and not in the log", v.Lost)
	rep.zero("in the log twice", v.Doubled+v.Foreign)
	rep.zero("in the log out of order", v.Reordered)
	return gone
}

// A logged is an event in the hub's log.
type logged struct {
	event
	id string
}

// retained reads all retained events that a selector selects, in order, except those
// that mark the end of the run.
func (h *process) retained(selector string) ([]logged, error) {
	resp, err := send(context.Background(), http.DefaultClient, "GET", h.url("/events?topic="+url.QueryEscape(selector)), http.Header{"Accept": {"application/x-ndjson"}}, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // read to its end
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("reading what is retained: %s", resp.Status)
	}
	var all []logged
	lines := json.NewDecoder(bufio.NewReaderSize(resp.Body, 1<<20))
	for lines.More() {
		var line struct{ ID, Type, Data string }
		if err := lines.Decode(&line); err != nil {
			return nil, fmt.Errorf("event %s of what is retained: %w", strconv.Itoa(len(all)), err)
		}
		if line.Type == "gap" { // retention has dropped all that was read so far, or more
			all = all[:0]
			continue
		}
		e, ok := parseEvent(line.Data)
		if !ok {
			return nil, fmt.Errorf("the retained event %s is torn: %q", line.ID, line.Data[:min(len(line.Data), 100)])
		}
		if e.pub != endOfRun {
			all = append(all, logged{e, line.ID})
		}
	}
	_, err = lines.Token()
	if err.Error() != "EOF" {
		return nil, fmt.Errorf("what is retained breaks off: %w", err)
	}
	return all, nil
}
