package load

import (
	"context"
	"errors"
	"time"

	"github.com/tidings-sse/tidings/internal/rig"
)

// Connect opens many streams at once, sends each an event, and closes them, several times.
type Connect struct {
	Common      `embed:""`
	Subscribers int           `default:"1000" help:"Streams."`
	Topics      int           `default:"1" help:"Topics; streams are assigned to them in turn."`
	AtOnce      int           `default:"128" help:"Connections that each thread opens at the same time."`
	Rounds      int           `default:"3" help:"How often to open and close them all."`
	Settle      time.Duration `default:"1s" help:"Time between opening the last stream and measuring memory."`
	Linger      time.Duration `default:"5s" help:"At the end, wait at most this long until memory is within a tenth of what it was at first."`
	Patience    time.Duration `default:"10s" help:"Wait for missing events until none has arrived for this long."`
}

func (b *Connect) volume() *Volume {
	return &Volume{Publishers: 1, Batch: 1, Size: MinSize, Topics: b.Topics, Duration: 1}
}

// Validate returns an error if the options make no sense.
func (b *Connect) Validate() error {
	if b.Subscribers < b.Topics || b.AtOnce < 1 || b.Rounds < 1 {
		return errors.New("--subscribers must be at least --topics, and --at-once and --rounds at least 1")
	}
	return b.volume().validate(&b.Target)
}

// Measure runs the benchmark. An error means that it could not be completed; faults of the
// server are in the report.
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
	opening := rig.NewHistogram()
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

// round opens all streams, publishes one event to each topic, and closes them.
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

// linger waits until the server has released its memory, up to b.Linger.
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
