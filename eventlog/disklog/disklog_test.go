package disklog

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/eventlog/logtest"
)

func TestMain(m *testing.M) {
	if runAsChild() {
		return
	}
	goleak.VerifyTestMain(m)
}

func TestLog(t *testing.T) {
	for name, o := range map[string]Options{
		"Disk":    {},
		"Relaxed": {Relaxed: true},
		"Small":   {Window: 1, tune: small}, // all reads come from the store, page by page
	} {
		t.Run(name, func(t *testing.T) {
			logtest.RunDurable(t, func(t *testing.T) logtest.Place {
				dir := t.TempDir()
				return logtest.Place{Open: func(t *testing.T, r eventlog.Retention) eventlog.Log {
					o := o
					o.Retention = r
					return open1(t, dir, o)
				}}
			})
		})
	}
	t.Run("Crash", func(t *testing.T) {
		logtest.RunDurable(t, func(t *testing.T) logtest.Place {
			fs := vfs.NewCrashableMem()
			var l *Log
			return logtest.Place{
				Open: func(t *testing.T, r eventlog.Retention) eventlog.Log {
					l = open1(t, "data", Options{Retention: r, FS: fs, tune: small})
					return l
				},
				Crash: func(t *testing.T) {
					after := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(1, 2))})
					_ = l.Close() // of a file system that no longer counts
					fs = after
				},
			}
		})
	})
}

func TestClock(t *testing.T) {
	place := func(t *testing.T) logtest.OpenClock {
		dir := t.TempDir()
		return func(t *testing.T, r eventlog.Retention, c *eventlog.Clock) eventlog.Log {
			return open1(t, dir, Options{Retention: r, Clock: c})
		}
	}
	logtest.RunClock(t, place)
	logtest.RunClockDurable(t, place)
}

// small causes flushes, compactions and new log files after few events.
func small(p *pebble.Options) {
	p.MemTableSize = 64 << 10
	p.CacheSize = 1 << 20
	p.LBaseMaxBytes = 64 << 10
	p.TargetFileSizes[0] = 16 << 10
	policy := p.Experimental.ValueSeparationPolicy
	p.Experimental.ValueSeparationPolicy = func() pebble.ValueSeparationPolicy {
		v := policy()
		v.MinimumSize = 48
		return v
	}
}

// open1 opens a log for a test, without a floor by default, and discards its log lines.
func open1(t testing.TB, dir string, o Options) *Log {
	t.Helper()
	l, err := openQuiet(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil && !errors.Is(err, eventlog.ErrClosed) && !errors.Is(err, eventlog.ErrFailed) {
			t.Errorf("Close: %v", err)
		}
	})
	return l
}

func openQuiet(dir string, o Options) (*Log, error) {
	if o.MinFree == 0 {
		o.MinFree = -1
	}
	o.Logger = slog.New(slog.DiscardHandler)
	return Open(dir, o)
}

func record(topic string, i int) eventlog.Record {
	return eventlog.Record{Topics: []string{topic}, Data: fmt.Append(nil, i)}
}

// all returns all retained events.
func all(t testing.TB, l *Log) (events []*eventlog.Event) {
	t.Helper()
	b, err := l.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for e, err := range l.Read(t.Context(), b.Origin, eventlog.Query{}) {
		if trimmed := (*eventlog.TrimmedError)(nil); errors.As(err, &trimmed) {
			return all(t, l) // retention has dropped some meanwhile
		} else if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}
