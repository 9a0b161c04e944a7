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

	"github.com/tidings-sse/tidings/internal/rig"
)

// Common are the options of all benchmarks.
type Common struct {
	Target   `embed:""`
	PID      []int     `name:"pid" placeholder:"PID" help:"A process of the server on this machine, to measure its CPU and memory. May be repeated."`
	Threads  int       `default:"0" help:"Threads that read streams; 0 means half of this machine's CPUs."`
	Progress io.Writer `kong:"-"`
}

// Volume are the options for what is published.
type Volume struct {
	Publishers int           `default:"64" help:"Connections that publish, one request at a time each."`
	Rate       float64       `default:"0" help:"Events per second in all; 0 means as many as possible."`
	Batch      int           `default:"1" help:"Events per request; several are sent as NDJSON."`
	Size       int           `default:"100" help:"Bytes of an event's data, at least 64."`
	Topics     int           `default:"1" help:"Topics; streams and events are assigned to them in turn."`
	Warmup     time.Duration `default:"1s" help:"Time before the measurement."`
	Duration   time.Duration `default:"5s" help:"Time of the measurement."`
}

func (v *Volume) validate(t *Target) error {
	if _, err := t.endpoint(); err != nil {
		return err
	}
	switch {
	case v.Publishers < 1 || v.Batch < 1 || v.Topics < 1:
		return errors.New("--publishers, --batch and --topics must be at least 1")
	case v.Rate < 0 || v.Warmup < 0 || v.Duration <= 0:
		return errors.New("--rate and --warmup must not be negative, and --duration must be more than 0")
	case v.Size < MinSize:
		return fmt.Errorf("--size is at least %d, because an event's data holds its number and a checksum", MinSize)
	case v.Batch > 1 && (t.Protocol != "tidings" || t.PublishURL != ""):
		return errors.New("--batch is for the protocol tidings: others accept one event at a time")
	}
	return nil
}

// A run is one benchmark in progress.
type run struct {
	*Common
	endpoint *endpoint
	server   rig.Processes
	window   window
	began    time.Time
	ctx      context.Context
	fail     context.CancelCauseFunc
	opening  *hdrhistogram.Histogram // of the audience that was judged last
}

func (c *Common) start(ctx context.Context) (*run, error) {
	e, err := c.endpoint()
	if err != nil {
		return nil, err
	}
	server, err := rig.OpenProcesses(c.PID...)
	if err != nil {
		return nil, fmt.Errorf("--pid: %w", err)
	}
	if c.Threads <= 0 {
		c.Threads = max(1, runtime.NumCPU()/2)
	}
	// Readers do not yield while there is data to read.
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), c.Threads+2))
	r := &run{Common: c, endpoint: e, server: server, began: time.Now()}
	r.window.from.Store(1<<63 - 1)
	r.window.to.Store(1<<63 - 1)
	r.ctx, r.fail = context.WithCancelCause(ctx)
	return r, nil
}

func (r *run) clock() int64 { return int64(time.Since(r.began)) }

// say reports progress.
func (c *Common) say(format string, args ...any) {
	if c.Progress != nil {
		fmt.Fprintf(c.Progress, format+"\n", args...)
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

// newFeeds returns feeds of topics that no other run uses.
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
	p.answers = rig.NewLatency()
	for _, f := range feeds {
		p.topics = append(p.topics, f.topic)
	}
	p.sent = make([]atomic.Int64, len(feeds))
	waiting := v.Publishers
	if v.Rate > 0 { // events may be due that are not sent yet
		waiting = 1 << 16
	}
	p.tickets = make(chan ticket, waiting)
	return p
}

func (r *run) newAudience(feeds []*feed, subscribers int) (*audience, error) {
	a, err := newAudience(r.endpoint, feeds, subscribers)
	if err != nil {
		return nil, err
	}
	a.clock, a.window, a.threads, a.fail = r.clock, &r.window, r.Threads, r.fail
	return a, nil
}

// openAll opens all streams, and returns the server's usage with the cost of an idle one.
func (r *run) openAll(a *audience, settle time.Duration, report *Report) (*Usage, error) {
	server, err := r.memoryBefore()
	if err != nil {
		return nil, err
	}
	kernel, err := kernelMemory()
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
	if err := r.wait(settle); err != nil || server == nil {
		return nil, err
	}
	idle, err := r.server.Footprint()
	if err != nil {
		return nil, err
	}
	server.RSSIdle, server.PSSIdle = idle.RSS, idle.PSS
	server.PSSPerStream = float64(idle.PSS-server.PSSBefore) / float64(len(a.streams))
	kernelIdle, err := kernelMemory()
	server.KernelPerStream = float64(kernelIdle-kernel) / float64(len(a.streams))
	return server, err
}

// memoryBefore returns the server's memory at the beginning, or nil if its process is not
// known.
func (r *run) memoryBefore() (*Usage, error) {
	if len(r.server) == 0 {
		return nil, nil
	}
	u, err := r.server.Footprint()
	return &Usage{RSSBefore: u.RSS, PSSBefore: u.PSS}, err
}

func (r *run) memoryAfter(server *Usage) error {
	if server == nil {
		return nil
	}
	u, err := r.server.Footprint()
	server.RSSAfter, server.PSSAfter = u.RSS, u.PSS
	return err
}

// load publishes for the volume's time, and measures between warm-up and end. With streams
// and without a rate, at most underWay events may be published but not received by all.
func (r *run) load(p *press, v *Volume, a *audience, underWay int64, report *Report) error {
	report.Size, report.Publishers, report.Batch, report.Rate = v.Size, v.Publishers, v.Batch, v.Rate
	if err := p.start(r.ctx, v.Publishers, r.fail); err != nil {
		return err
	}
	defer p.wg.Wait()
	ready := func(int64) bool { return true }
	if a != nil {
		if underWay == 0 {
			underWay = int64(4 * v.Publishers * v.Batch)
		}
		ready = func(events int64) bool { return float64(events)-float64(a.count())/a.perEvent() <= float64(underWay) }
	}
	from := r.clock() + int64(v.Warmup)
	until := from + int64(v.Duration)
	r.window.from.Store(from)
	r.window.to.Store(until)
	scheduled := make(chan int64, 1)
	go func() { scheduled <- p.hand(r.ctx, schedule{rate: v.Rate, until: until, ready: ready}) }()
	err := r.observe(p, a, report)
	report.Unsent = <-scheduled
	return err
}

// publish publishes a number of events as fast as the server answers.
func (r *run) publish(p *press, publishers int, events int64) error {
	if err := p.start(r.ctx, publishers, r.fail); err != nil {
		return err
	}
	p.hand(r.ctx, schedule{until: 1<<63 - 1, limit: events, ready: func(int64) bool { return true }})
	p.wg.Wait()
	return context.Cause(r.ctx)
}

// observe samples counters and CPU times at both ends of the window.
func (r *run) observe(p *press, a *audience, report *Report) error {
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
		r.tell(last, s, a)
		if last = s; rest <= time.Second {
			report.between(first, last)
			break
		}
	}
	return r.memoryAfter(report.Server)
}

// tell reports the progress since the last sample.
func (r *run) tell(last, s sample, a *audience) {
	seconds := float64(s.at-last.at) / 1e9
	published := float64(s.published-last.published) / seconds
	if a == nil {
		r.say("%8.0f events/s published", published)
		return
	}
	r.say("%8.0f events/s published  %10.0f deliveries/s  %8.0f events behind", published,
		float64(s.delivered-last.delivered)/seconds, float64(s.published)-float64(s.delivered)/a.perEvent())
}

// A sample holds all counters at one moment.
type sample struct {
	at                   int64
	published, delivered int64
	server, client       rig.Usage
}

func (r *run) sample(p *press, a *audience) (s sample, err error) {
	s.at, s.published = r.clock(), p.published.Load()
	if a != nil {
		s.delivered = a.count()
	}
	if s.server, err = r.server.Usage(); err != nil {
		return s, err
	}
	self, err := rig.OpenProcesses(os.Getpid())
	if err != nil {
		return s, err
	}
	s.client, err = self.Usage()
	return s, err
}

func (r *Report) between(a, b sample) {
	r.Seconds = float64(b.at-a.at) / 1e9
	published, delivered := float64(b.published-a.published), float64(b.delivered-a.delivered)
	r.PublishedRate, r.DeliveredRate = published/r.Seconds, delivered/r.Seconds
	r.Client = new(Usage)
	for _, side := range []struct {
		*Usage
		from, to rig.Usage
	}{{r.Client, a.client, b.client}, {r.Server, a.server, b.server}} {
		if side.Usage == nil {
			continue
		}
		side.User, side.System = (side.to.User - side.from.User).Seconds(), (side.to.System - side.from.System).Seconds()
		if delivered > 0 {
			side.CPUPerDelivery = (side.User + side.System) / delivered * 1e6
		}
		if published > 0 {
			side.CPUPerPublish = (side.User + side.System) / published * 1e6
		}
	}
}

// expected returns how many deliveries there must be in all.
func expected(p *press, a *audience) (total int64) {
	for i := range a.streams {
		total += p.sent[i%len(p.sent)].Load()
	}
	return total
}

// drain waits until everything that was sent has arrived, or nothing more does.
func (r *run) drain(p *press, a *audience, patience time.Duration) error {
	return r.await(a, expected(p, a), patience, 0)
}

// await waits until want events have arrived, none has for patience, or, unless it is 0,
// limit has passed.
func (r *run) await(a *audience, want int64, patience, limit time.Duration) error {
	last, since, began := a.count(), time.Now(), time.Now()
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
		if limit > 0 && time.Since(began) > limit {
			return nil
		}
		if err := r.wait(2 * time.Millisecond); err != nil {
			return err
		}
	}
}

// judge compares what has arrived with what was sent. The readers must have ended.
func (r *run) judge(p *press, a *audience, report *Report) {
	r.total(a, report)
	report.Expected = 0
	for i := range a.streams {
		want := p.sent[i%len(p.sent)].Load()
		report.Expected += want
		report.Faults.Missed += max(0, want-a.streams[i].got)
	}
	report.Published = p.published.Load()
	report.Answer = summarize(p.answers.Histogram())
	report.Checked = "events"
	report.OK = report.Faults == (Faults{}) && report.Delivered == report.Expected && report.Delivered > 0
}

// total sums the readers' tallies.
func (r *run) total(a *audience, report *Report) {
	receive, catchUp := rig.NewHistogram(), rig.NewHistogram()
	r.opening = rig.NewHistogram()
	report.Delivered = 0
	for _, reader := range a.readers {
		report.Faults.add(reader.faults)
		report.Delivered += reader.tally.delivered
		receive.Merge(reader.hist)
		r.opening.Merge(reader.opening)
		catchUp.Merge(reader.catchUp)
	}
	report.Receive, report.Open, report.CatchUp = summarize(receive), summarize(r.opening), summarize(catchUp)
}
