package eventlog_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/eventlog/logtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory(t *testing.T) {
	logtest.Run(t, func(_ *testing.T, r eventlog.Retention) eventlog.Log { return eventlog.NewMemory(r) })
	logtest.RunClock(t, func(_ *testing.T) logtest.OpenClock {
		return func(_ *testing.T, r eventlog.Retention, c *eventlog.Clock) eventlog.Log {
			return eventlog.NewMemoryWith(r, c)
		}
	})
}
