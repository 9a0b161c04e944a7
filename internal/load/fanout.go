package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Common is what all benchmarks are told.
type Common struct {
	Target   `embed:""`
	PID      []int     `name:"pid" placeholder:"PID" help:"The server's process on this machine, of which to measure CPU and memory. May be repeated."`
	Threads  int       `default:"0" help:"Threads that read streams; 0 is half of this machine's CPUs."`
	Progress io.Writer `kong:"-"`
}

// Volume is what is published.
type Volume struct {
	Publishers int           `default:"64" help:"Connections that publish, one request at a time each."`
	Rate       float64       `default:"0" help:"Events a second in all; 0 is as many as go."`
	Batch      int           `default:"1" help:"Events in a request; more than one go as NDJSON."`
	Size       int           `default:"100" help:"Bytes of an event's data, at least 64."`
	Topics     int           `default:"1" help:"Topics, which streams and events go to in turn."`
	Warmup     time.Duration `default:"1s" help:"Time before what is measured."`
	Duration   time.Duration `default:"5s" help:"Time that is measured."`
}

// Fanout publishes to many streams.
type Fanout struct {
	Common      `embed:""`
	Volume      `embed:""`
	Subscribers int           `default:"1000" help:"Streams."`
	Behind      int64         `default:"0" help:"With --rate 0, events that may be under way; 0 is four requests' of each publisher."`
	Settle      time.Duration `default:"1s" help:"Time between the last stream's opening and the first event."`
	Patience    time.Duration `default:"10s" help:"At the end, wait for what is missing until nothing has come for so long."`
}

func (v *Volume) validate(t *Target) error {
	switch {
	case v.Publishers < 1 || v.Batch < 1 || v.Topics < 1:
		return errors.New("--publishers, --batch and --topics are at least 1")
	case v.Rate < 0 || v.Warmup < 0 || v.Duration <= 0:
		return errors.New("--rate and --warmup must not be negative, and --duration is more than 0")
	case v.Size < MinSize:
		return fmt.Errorf("--size is at least %d, as an event's data names and checks itself", MinSize)
	case v.Batch > 1 && (t.Protocol != "tidings" || t.PublishURL != ""):
		return errors.New("--batch is for the protocol tidings: others take one event at a time")
	}
	return nil
}

// A run is one benchmark under way.
type run struct {
	*Common
	endpoint *endpoint
	server   processes
	window   window
	began    time.Time
	ctx      context.Context
	fail     context.CancelCauseFunc
}

func (c *Common) start(ctx context.Context) (*run, error) {
	e, err := c.endpoint()
	if err != nil {
		return nil, err
	}
	server, err := openProcesses(c.PID)
	if err != nil {
		return nil, err
	}
	if c.Threads <= 0 {
		c.Threads = max(1, runtime.NumCPU()/2)
	}
	// Readers do not yield while there is something to read.
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), c.Threads+2))
	r := &run{Common: c, endpoint: e, server: server, began: time.Now()}
	r.window.from.Store(1<<63 - 1)
	r.window.to.Store(1<<63 - 1)
	r.ctx, r.fail = context.WithCancelCause(ctx)
	return r, nil
}

func (r *run) clock() int64 { return int64(time.Since(r.began)) }

func (r *run) say(format string, args ...any) {
	if r.Progress != nil {
		fmt.Fprintf(r.Progress, format+"\n", args...)
	}
}

func (r *run) wait(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
}

// newFeeds names topics that no other run has.
func newFeeds(topics, publishers int) []*feed {
	feeds := make([]*feed, topics)
	prefix := fmt.Sprintf("bench-%08x-", rand.Uint32())
	for i := range feeds {
		feeds[i] = newFeed(fmt.Sprint(prefix, i), publishers)
	}
	return feeds
}

func (r *run) newPress(v *Volume, feeds []*feed) *press {
	p := &press{endpoint: r.endpoint, size: v.Size, batch: v.Batch, clock: r.clock, window: &r.window}
	p.answers.hist = newHistogram()
	for _, f := range feeds {
		p.topics = append(p.topics, f.topic)
	}
	p.sent = make([]atomic.Int64, len(feeds))
	waiting := v.Publishers
	if v.Rate > 0 { // due, and not sent so far
		waiting = 1 << 16
	}
	p.tickets = make(chan ticket, waiting)
	return p
}

// Validate reports, in a sentence, what makes no benchmark.
func (f *Fanout) Validate() error {
	if f.Subscribers < f.Topics {
		return errors.New("--subscribers is at least --topics: nobody would see what is published to the others")
	}
	if _, err := f.Target.endpoint(); err != nil {
		return err
	}
	return f.Volume.validate(&f.Target)
}

// Measure runs the benchmark. An error means that it could not be carried
// through; what the server did wrong is in the report.
func (f *Fanout) Measure(ctx context.Context) (*Report, error) {
	if err := f.Validate(); err != nil {
		return nil, err
	}
	if err := checkOpenFiles(f.Subscribers + f.Publishers); err != nil {
		return nil, err
	}
	r, err := f.Common.start(ctx)
	if err != nil {
		return nil, err
	}
	defer r.fail(nil)
	feeds := newFeeds(f.Topics, f.Publishers)
	a, err := newAudience(r.endpoint, feeds, f.Subscribers)
	if err != nil {
		return nil, err
	}
	a.clock, a.window, a.threads, a.fail = r.clock, &r.window, f.Threads, r.fail
	defer a.close()

	report := newReport("fanout", r.endpoint)
	report.Subscribers, report.Topics = f.Subscribers, f.Topics
	report.Server, err = r.openAll(a, f.Settle, report)
	if err != nil {
		return nil, err
	}
	p := r.newPress(&f.Volume, feeds)
	if err := r.load(p, &f.Volume, a, f.Behind, report); err != nil {
		return nil, err
	}
	if err := r.drain(p, a, f.Patience); err != nil {
		return nil, err
	}
	a.close()
	r.judge(p, a, report)
	return report, nil
}

// openAll opens all streams, and returns what an idle one costs.
func (r *run) openAll(a *audience, settle time.Duration, report *Report) (*Usage, error) {
	before, err := r.server.memory()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	said := began
	err = a.open(r.ctx, func(n int64) {
		if time.Since(said) > time.Second {
			said = time.Now()
			r.say("%d of %d streams are open", n, len(a.streams))
		}
	})
	if err != nil {
		return nil, err
	}
	took := time.Since(began)
	report.Opens = float64(len(a.streams)) / took.Seconds()
	r.say("%d streams opened in %s", len(a.streams), took.Round(time.Millisecond))
	if err := r.wait(settle); err != nil {
		return nil, err
	}
	if len(r.server) == 0 {
		return nil, nil
	}
	idle, err := r.server.memory()
	if err != nil {
		return nil, err
	}
	return &Usage{
		RSSBefore: before.rss, RSSIdle: idle.rss, PSSBefore: before.pss, PSSIdle: idle.pss,
		PSSPerStream: float64(idle.pss-before.pss) / float64(len(a.streams)),
	}, nil
}

// load publishes, and measures what happens between warm-up and end.
func (r *run) load(p *press, v *Volume, a *audience, behind int64, report *Report) error {
	report.Size, report.Publishers, report.Batch, report.Rate = v.Size, v.Publishers, v.Batch, v.Rate
	if err := p.start(r.ctx, v.Publishers, r.fail); err != nil {
		return err
	}
	defer p.wg.Wait()
	if behind == 0 {
		behind = int64(4 * v.Publishers * v.Batch)
	}
	perEvent := float64(1)
	if a != nil {
		perEvent = float64(len(a.streams)) / float64(v.Topics)
	}
	ready := func(events int64) bool {
		return a == nil || float64(events)-float64(a.count())/perEvent <= float64(behind)
	}
	from := r.clock() + int64(v.Warmup)
	until := from + int64(v.Duration)
	r.window.from.Store(from)
	r.window.to.Store(until)
	scheduled := make(chan int64, 1)
	go func() { scheduled <- p.schedule(r.ctx, v.Rate, until, ready) }()
	err := r.observe(p, v, a, perEvent, report)
	report.Unsent = <-scheduled
	return err
}

// observe reads counters and clocks at both ends of the window.
func (r *run) observe(p *press, v *Volume, a *audience, perEvent float64, report *Report) error {
	if err := r.wait(time.Duration(r.window.from.Load() - r.clock())); err != nil {
		return err
	}
	first, err := r.sample(p, a)
	if err != nil {
		return err
	}
	for last := first; ; {
		rest := time.Duration(r.window.to.Load() - r.clock())
		if err := r.wait(min(rest, time.Second)); err != nil {
			return err
		}
		s, err := r.sample(p, a)
		if err != nil {
			return err
		}
		seconds := float64(s.at-last.at) / 1e9
		r.say("%8.0f events/s published  %10.0f deliveries/s  %8.0f events behind", float64(s.published-last.published)/seconds,
			float64(s.delivered-last.delivered)/seconds, float64(s.published)-float64(s.delivered)/perEvent)
		if last = s; rest <= time.Second {
			report.between(first, last)
			break
		}
	}
	if report.Server != nil {
		after, err := r.server.memory()
		report.Server.RSSAfter, report.Server.PSSAfter = after.rss, after.pss
		return err
	}
	return nil
}

// A sample is what is counted at a moment.
type sample struct {
	at                   int64
	published, delivered int64
	server, client       usage
}

func (r *run) sample(p *press, a *audience) (s sample, err error) {
	s.at, s.published = r.clock(), p.published.Load()
	if a != nil {
		s.delivered = a.count()
	}
	if s.server, err = r.server.cpu(); err != nil {
		return s, err
	}
	self, err := openProcesses([]int{os.Getpid()})
	if err != nil {
		return s, err
	}
	s.client, err = self.cpu()
	return s, err
}

func (r *Report) between(a, b sample) {
	r.Seconds = float64(b.at-a.at) / 1e9
	published, delivered := float64(b.published-a.published), float64(b.delivered-a.delivered)
	r.PublishedRate, r.DeliveredRate = published/r.Seconds, delivered/r.Seconds
	r.Client = new(Usage)
	for _, side := range []struct {
		*Usage
		from, to usage
	}{{r.Client, a.client, b.client}, {r.Server, a.server, b.server}} {
		if side.Usage == nil {
			continue
		}
		side.User, side.System = (side.to.user - side.from.user).Seconds(), (side.to.system - side.from.system).Seconds()
		if delivered > 0 {
			side.CPUPerDelivery = (side.User + side.System) / delivered * 1e6
		}
		if published > 0 {
			side.CPUPerPublish = (side.User + side.System) / published * 1e6
		}
	}
}

// expected returns how many events each stream is to have had.
func expected(p *press, a *audience) (total int64) {
	for i := range a.streams {
		total += p.sent[i%len(p.sent)].Load()
	}
	return total
}

// drain waits until everything has come, or nothing more does.
func (r *run) drain(p *press, a *audience, patience time.Duration) error {
	want := expected(p, a)
	last, since := a.count(), time.Now()
	for {
		n := a.count()
		if n >= want {
			return nil
		}
		if n != last {
			last, since = n, time.Now()
		}
		if time.Since(since) > patience {
			r.say("%d of %d deliveries, and no more for %s", n, want, patience)
			return nil
		}
		if err := r.wait(10 * time.Millisecond); err != nil {
			return err
		}
	}
}

// judge sums up. The readers have ended.
func (r *run) judge(p *press, a *audience, report *Report) {
	receive, opening := newHistogram(), newHistogram()
	for _, reader := range a.readers {
		report.Faults.add(reader.faults)
		report.Delivered += reader.tally.delivered
		receive.Merge(reader.hist)
		opening.Merge(reader.opening)
	}
	for i := range a.streams {
		want := p.sent[i%len(p.sent)].Load()
		report.Expected += want
		report.Faults.Missed += max(0, want-a.streams[i].got)
	}
	report.Published = p.published.Load()
	report.Receive, report.Open = summarize(receive), summarize(opening)
	report.Answer = summarize(p.answers.snapshot())
	report.OK = report.Faults == (Faults{}) && report.Delivered == report.Expected && report.Delivered > 0
}

func (s *sharedHistogram) snapshot() *hdrhistogram.Histogram {
	s.mu.Lock()
	defer s.mu.Unlock()
	return hdrhistogram.Import(s.hist.Export())
}
