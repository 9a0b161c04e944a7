package load

import (
	"context"
	"time"
)

// Publish publishes without subscribers, and then reads the events back.
type Publish struct {
	Common   `embed:""`
	Volume   `embed:""`
	Patience time.Duration `default:"10s" help:"While reading back, wait for missing events until none has arrived for this long."`
}

// Validate returns an error if the options make no sense.
func (b *Publish) Validate() error { return b.Volume.validate(&b.Target) }

// readable reports whether the published events can be read back. With an address for
// publishing only, just the responses can be checked.
func (b *Publish) readable() bool { return b.PublishURL == "" || b.SubscribeURL != "" }

// Measure runs the benchmark. An error means that it could not be completed; faults of the
// server are in the report.
func (b *Publish) Measure(ctx context.Context) (*Report, error) {
	if err := b.Validate(); err != nil {
		return nil, err
	}
	if err := checkOpenFiles(b.Publishers + b.Topics); err != nil {
		return nil, err
	}
	r, err := b.Common.start(ctx)
	if err != nil {
		return nil, err
	}
	defer r.fail(nil)
	feeds := newFeeds(b.Topics, b.Publishers)
	report := newReport("publish", r.endpoint)
	report.Topics = b.Topics
	if report.Server, err = r.memoryBefore(); err != nil {
		return nil, err
	}
	p := r.newPress(&b.Volume, feeds)
	if err := r.load(p, &b.Volume, nil, 0, report); err != nil {
		return nil, err
	}
	if !b.readable() {
		report.Published, report.Answer = p.published.Load(), summarize(p.answers.Histogram())
		report.Checked = "answers"
		report.OK = report.Published > 0
		return report, nil
	}
	if err := r.readBack(p, feeds, b.Patience, report); err != nil {
		return nil, err
	}
	return report, nil
}

// readBack reads all published events, with one stream for each topic.
func (r *run) readBack(p *press, feeds []*feed, patience time.Duration, report *Report) error {
	a, err := r.newAudience(feeds, len(feeds))
	if err != nil {
		return err
	}
	defer a.close()
	a.request = func(i int) []byte { return r.endpoint.subscribeRequest(feeds[i].topic, "earliest") }
	r.say("reading back")
	began := r.clock()
	r.window.to.Store(0) // reading back must not count as latency
	if err := a.open(r.ctx, func(int64) {}); err != nil {
		return err
	}
	if err := r.drain(p, a, patience); err != nil {
		return err
	}
	r.say("%d events read back, %.0f/s", a.count(), float64(a.count())/float64(r.clock()-began)*1e9)
	a.close()
	r.judge(p, a, report)
	report.Open = nil
	return nil
}
