package load

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Resume publishes a history, and then resumes many streams at the same time.
type Resume struct {
	Common      `embed:""`
	Subscribers int           `default:"1000" help:"Streams that resume."`
	Topics      int           `default:"1" help:"Topics; streams and events are assigned to them in turn."`
	History     int64         `default:"10000" help:"Events published beforehand, over all topics."`
	Missed      int64         `default:"1000" help:"Events of its topic that each stream has missed."`
	Publishers  int           `default:"16" help:"Connections that publish the history."`
	Batch       int           `default:"1" help:"Events per request; several are sent as NDJSON."`
	Size        int           `default:"100" help:"Bytes of an event's data, at least 64."`
	Patience    time.Duration `default:"10s" help:"Wait for missing events until none has arrived for this long."`
}

func (b *Resume) volume() *Volume {
	return &Volume{Publishers: b.Publishers, Batch: b.Batch, Size: b.Size, Topics: b.Topics, Duration: 1}
}

// Validate returns an error if the options make no sense.
func (b *Resume) Validate() error {
	if b.Subscribers < 1 || b.Missed < 1 {
		return errors.New("--subscribers and --missed must be at least 1")
	}
	if least := (b.Missed + 1) * int64(b.Topics); b.History < least {
		return fmt.Errorf("--history must be at least %d, so that each topic has an event before the missed ones", least)
	}
	return b.volume().validate(&b.Target)
}

// Measure runs the benchmark. An error means that it could not be completed; faults of the
// server are in the report.
func (b *Resume) Measure(ctx context.Context) (*Report, error) {
	if err := b.Validate(); err != nil {
		return nil, err
	}
	if err := checkOpenFiles(b.Publishers + b.Subscribers + b.Topics); err != nil {
		return nil, err
	}
	r, err := b.Common.start(ctx)
	if err != nil {
		return nil, err
	}
	defer r.fail(nil)
	report := newReport("resume", r.endpoint)
	report.Subscribers, report.Topics, report.Size, report.Publishers, report.Batch = b.Subscribers, b.Topics, b.Size, b.Publishers, b.Batch
	feeds := newFeeds(b.Topics, b.Publishers)
	for _, f := range feeds {
		f.streams = 2 // makes the feed keep the order for the streams that resume
	}
	if err := b.publishHistory(r, feeds, report); err != nil {
		return nil, err
	}
	return report, b.resume(r, feeds, report)
}

// publishHistory publishes the history, while one stream per topic records ids and order.
func (b *Resume) publishHistory(r *run, feeds []*feed, report *Report) error {
	watch, err := r.newAudience(feeds, len(feeds))
	if err != nil {
		return err
	}
	defer watch.close()
	if err := watch.open(r.ctx, func(int64) {}); err != nil {
		return err
	}
	p := r.newPress(b.volume(), feeds)
	began := time.Now()
	if err := r.publish(p, b.Publishers, b.History); err != nil {
		return err
	}
	if err := r.drain(p, watch, b.Patience); err != nil {
		return err
	}
	watch.close()
	r.judge(p, watch, report)
	if !report.OK {
		return fmt.Errorf("the history did not arrive whole, so no stream can resume: %+v", report.Faults)
	}
	report.Published = p.published.Load()
	report.PublishedRate = float64(report.Published) / time.Since(began).Seconds()
	r.say("%d events of history published, %.0f/s", report.Published, report.PublishedRate)
	return nil
}

// cutAudience returns streams in the state after a cut: each has received the events
// before those that it missed, and asks for the rest.
func (b *Resume) cutAudience(r *run, feeds []*feed) (*audience, error) {
	a, err := r.newAudience(feeds, b.Subscribers)
	if err != nil {
		return nil, err
	}
	for i := range a.streams {
		s := &a.streams[i]
		s.until = s.feed.length.Load()
		s.next = s.until - b.Missed
		if s.feed.at(s.next-1).id == "" {
			return nil, errors.New("the server's events have no ids, so no stream can resume")
		}
	}
	a.request = func(i int) []byte {
		f := a.streams[i].feed
		return r.endpoint.subscribeRequest(f.topic, f.at(a.streams[i].until-b.Missed-1).id)
	}
	return a, nil
}

// resume opens all streams at the positions of their cuts, and waits until each has
// received what it missed.
func (b *Resume) resume(r *run, feeds []*feed, report *Report) error {
	a, err := b.cutAudience(r, feeds)
	if err != nil {
		return err
	}
	defer a.close()
	if report.Server, err = r.memoryBefore(); err != nil {
		return err
	}
	before, err := r.sample(&press{}, a)
	if err != nil {
		return err
	}
	if err := a.open(r.ctx, func(int64) {}); err != nil {
		return err
	}
	opened := r.clock()
	want := b.Missed * int64(b.Subscribers)
	if err := r.await(a, want, b.Patience, 0); err != nil {
		return err
	}
	after, err := r.sample(&press{}, a)
	if err != nil {
		return err
	}
	if err := r.memoryAfter(report.Server); err != nil {
		return err
	}
	a.close()
	report.between(before, after)
	report.PublishedRate = 0
	report.Opens = float64(b.Subscribers) / float64(opened-before.at) * 1e9
	report.Delivered, report.Faults = 0, Faults{}
	r.total(a, report)
	report.Expected = want
	for i := range a.streams {
		report.Faults.Missed += max(0, b.Missed-a.streams[i].got)
	}
	report.Receive, report.Answer = nil, nil
	report.OK = report.Faults == (Faults{}) && report.Delivered == want
	return nil
}
