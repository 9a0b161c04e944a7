package load

import (
	"context"
	"errors"
	"time"
)

// Connect opens many streams at once, has each receive an event, and closes
// them, a number of times.
type Connect struct {
	Common      `embed:""`
	Subscribers int           `default:"1000" help:"Streams."`
	Topics      int           `default:"1" help:"Topics, which streams go to in turn."`
	AtOnce      int           `default:"128" help:"Connections that are being opened at a time, by each thread."`
	Rounds      int           `default:"3" help:"How often to open and close them all."`
	Settle      time.Duration `default:"1s" help:"Time between the last stream's opening and looking at memory."`
	Linger      time.Duration `default:"5s" help:"At the end, wait so long for memory to be given back, or until it is within a tenth of what it was."`
	Patience    time.Duration `default:"10s" help:"Wait for what is missing until nothing has come for so long."`
}

func (b *Connect) volume() *Volume {
	return &Volume{Publishers: 1, Batch: 1, Size: MinSize, Topics: b.Topics, Duration: 1}
}

// Validate reports, in a sentence, what makes no benchmark.
func (b *Connect) Validate() error {
	if b.Subscribers < b.Topics || b.AtOnce < 1 || b.Rounds < 1 {
		return errors.New("--subscribers is at least --topics, and --at-once and --rounds are at least 1")
	}
	return b.volume().validate(&b.Target)
}

// Measure runs the benchmark. An error means that it could not be carried
// through; what the server did wrong is in the report.
func (b *Connect) Measure(ctx context.Context) (*Report, error) {
	if err := b.Validate(); err != nil {
		return nil, err
	}
	if err := checkOpenFiles(b.Subscribers + 1); err != nil {
		return nil, err
	}
	r, err := b.Common.start(ctx)
	if err != nil {
		return nil, err
	}
	defer r.fail(nil)
	report := newReport("connect", r.endpoint)
	report.Subscribers, report.Topics = b.Subscribers, b.Topics
	opening := newHistogram()
	best := 0.0
	for round := range b.Rounds {
		usage, err := b.round(r, report)
		if err != nil {
			return nil, err
		}
		if round == 0 {
			report.Server = usage
		}
		opening.Merge(r.opening)
		best = max(best, report.Opens)
	}
	report.Opens, report.Open = best, summarize(opening)
	report.Receive, report.Answer = nil, nil
	return report, b.linger(r, report)
}

// round opens all streams, publishes one event for each topic, and closes them.
func (b *Connect) round(r *run, report *Report) (*Usage, error) {
	feeds := newFeeds(b.Topics, 1)
	a, err := r.newAudience(feeds, b.Subscribers)
	if err != nil {
		return nil, err
	}
	a.inFlight = b.AtOnce
	defer a.close()
	usage, err := r.openAll(a, b.Settle, report)
	if err != nil {
		return nil, err
	}
	p := r.newPress(b.volume(), feeds)
	if err := r.publish(p, 1, int64(b.Topics)); err != nil {
		return nil, err
	}
	if err := r.drain(p, a, b.Patience); err != nil {
		return nil, err
	}
	a.close()
	r.judge(p, a, report)
	return usage, nil
}

// linger waits for the server's memory to be given back.
func (b *Connect) linger(r *run, report *Report) error {
	if report.Server == nil {
		return nil
	}
	for end := time.Now().Add(b.Linger); ; {
		if err := r.memoryAfter(report.Server); err != nil {
			return err
		}
		back := float64(report.Server.RSSAfter) <= 1.1*float64(report.Server.RSSBefore)
		if back || time.Now().After(end) {
			return nil
		}
		if err := r.wait(200 * time.Millisecond); err != nil {
			return err
		}
	}
}
