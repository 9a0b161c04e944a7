package load

import (
	"context"
	"errors"
	"time"
)

// Fanout publishes to many streams.
type Fanout struct {
	Common      `embed:""`
	Volume      `embed:""`
	Subscribers int           `default:"1000" help:"Streams."`
	UnderWay    int64         `default:"0" help:"With --rate 0, how many events may be published but not received by all streams; 0 means four requests of each publisher."`
	MaxP99      time.Duration `name:"max-p99" placeholder:"DURATION" help:"Find the highest rate at which every event arrives, and 99 % of them within this time, beginning at --rate."`
	Settle      time.Duration `default:"1s" help:"Time between opening the last stream and the first event."`
	Patience    time.Duration `default:"10s" help:"At the end, wait for missing events until none has arrived for this long."`
}

// Validate returns an error if the options make no sense.
func (f *Fanout) Validate() error {
	if f.Subscribers < f.Topics {
		return errors.New("--subscribers must be at least --topics, or events of some topics would reach no stream")
	}
	if f.MaxP99 < 0 {
		return errors.New("--max-p99 must not be negative")
	}
	return f.Volume.validate(&f.Target)
}

// Measure runs the benchmark. An error means that it could not be completed; faults of the
// server are in the report.
func (f *Fanout) Measure(ctx context.Context) (*Report, error) {
	if err := f.Validate(); err != nil {
		return nil, err
	}
	if f.MaxP99 > 0 {
		return f.search(ctx)
	}
	return f.measure(ctx)
}

func (f *Fanout) measure(ctx context.Context) (*Report, error) {
	if err := checkOpenFiles(f.Subscribers + f.Publishers); err != nil {
		return nil, err
	}
	r, err := f.Common.start(ctx)
	if err != nil {
		return nil, err
	}
	defer r.fail(nil)
	feeds := newFeeds(f.Topics, f.Publishers)
	a, err := r.newAudience(feeds, f.Subscribers)
	if err != nil {
		return nil, err
	}
	defer a.close()

	report := newReport("fanout", r.endpoint)
	report.Subscribers, report.Topics = f.Subscribers, f.Topics
	report.Server, err = r.openAll(a, f.Settle, report)
	if err != nil {
		return nil, err
	}
	p := r.newPress(&f.Volume, feeds)
	if err := r.load(p, &f.Volume, a, f.UnderWay, report); err != nil {
		return nil, err
	}
	if err := r.await(a, expected(p, a), f.Patience, f.MaxP99); err != nil {
		return nil, err
	}
	a.close()
	r.judge(p, a, report)
	return report, nil
}
