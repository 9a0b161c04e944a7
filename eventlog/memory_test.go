package eventlog_test

import (
	"fmt"
	"strconv"
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

// TestMemoryTopics drops topics and brings some back while all are listed, page by page.
// A topic that has events all the time is listed once.
func TestMemoryTopics(t *testing.T) {
	const topics, retained = 2000, 1000
	log := eventlog.NewMemory(eventlog.Retention{Events: retained})
	defer log.Close()
	publish := func(i int) {
		if _, err := log.Append(t.Context(), eventlog.Record{Topics: []string{fmt.Sprint(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range topics { // the first half is dropped
		publish(i)
	}
	listed := map[string]int{}
	for topic, err := range log.Topics(t.Context()) {
		if err != nil || topic.Events != 1 {
			t.Fatal(topic, err)
		}
		if listed[topic.Name]++; len(listed) == 1 {
			for i := range retained / 4 {
				publish(topics + i) // drops one of the oldest quarter
			}
			for i := range retained / 4 {
				publish(topics - retained + i) // brings that back, and drops one of the next quarter
			}
		}
	}
	for i := topics - retained/2; i < topics; i++ {
		if name := fmt.Sprint(i); listed[name] != 1 {
			t.Errorf("topic %s is listed %d times", name, listed[name])
		}
	}
	for name, n := range listed {
		if i, _ := strconv.Atoi(name); n != 1 || i < topics-retained {
			t.Errorf("topic %s is listed %d times", name, n)
		}
	}
}
