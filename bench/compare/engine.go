package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/eventlog/disklog"
	"github.com/tidings-sse/tidings/internal/load"
)

// driveEngine measures the log on disk alone, without a hub or HTTP. 256 goroutines
// append records of 100 bytes for five seconds; the last argument is how many each
// appends at a time. The rate is that of the last four seconds.
func driveEngine(ctx context.Context, args []string) (*load.Report, error) {
	batch, err := strconv.Atoi(args[len(args)-1])
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	engine, err := disklog.Open(dir, disklog.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		return nil, err
	}
	const warmup, duration = time.Second, 4 * time.Second
	ctx, cancel := context.WithTimeout(ctx, warmup+duration)
	defer cancel()
	var appended atomic.Int64
	var wg sync.WaitGroup
	fail := make(chan error, 256)
	for range 256 {
		wg.Go(func() {
			records := make([]eventlog.Record, batch)
			for i := range records {
				records[i] = eventlog.Record{Topics: []string{"bench"}, Data: make([]byte, 100)}
			}
			for ctx.Err() == nil {
				if _, err := engine.Append(context.WithoutCancel(ctx), records...); err != nil {
					fail <- err
					return
				}
				appended.Add(int64(batch))
			}
		})
	}
	time.Sleep(warmup)
	first, began := appended.Load(), time.Now()
	time.Sleep(duration)
	n, took := appended.Load()-first, time.Since(began).Seconds()
	wg.Wait()
	close(fail)
	if err := errors.Join(<-fail, checkLog(engine, appended.Load()), engine.Close()); err != nil {
		return nil, err
	}
	return &load.Report{
		Bench: "engine", Target: fmt.Sprintf("disklog, %d records at a time", batch), CPUs: runtime.NumCPU(), Size: 100, Publishers: 256, Batch: batch,
		Published: appended.Load(), PublishedRate: float64(n) / took, Seconds: took, Checked: "events", OK: n > 0,
	}, nil
}

// checkLog reads the log and reports an error unless it has exactly want records, in
// ascending order.
func checkLog(engine eventlog.Log, want int64) error {
	bounds, err := engine.Bounds(context.Background())
	if err != nil {
		return err
	}
	n, last := int64(0), bounds.Origin
	for e, err := range engine.Read(context.Background(), bounds.Origin, eventlog.Query{}) {
		if err != nil {
			return err
		}
		if last.Compare(e.ID) >= 0 {
			return fmt.Errorf("%v comes after %v", e.ID, last)
		}
		last = e.ID
		n++
	}
	if n != want {
		return fmt.Errorf("%d of %d records are in the log", n, want)
	}
	return nil
}
