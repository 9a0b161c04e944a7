// Package logtest is the conformance suite for event logs. Every engine runs these tests
// of the promises in package eventlog.
package logtest

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
)

// Open returns a new, empty log. The test closes it.
type Open func(t *testing.T, r eventlog.Retention) eventlog.Log

// Run tests the engine that open opens.
func Run(t *testing.T, open Open) {
	for name, test := range map[string]func(*testing.T, Open){
		"Append":        testAppend,
		"Read":          testRead,
		"ReadByTopic":   testReadByTopic,
		"Tail":          testTail,
		"TailTrimmed":   testTailTrimmed,
		"Places":        testPlaces,
		"Await":         testAwait,
		"OnBury":        testOnBury,
		"Retention":     testRetention,
		"Keys":          testKeys,
		"Newest":        testNewest,
		"At":            testAt,
		"ByPublisherID": testByPublisherID,
		"Topics":        testTopics,
		"Delete":        testDelete,
		"DeletedID":     testDeletedID,
		"IDTrimmed":     testDeletedIDTrimmed,
		"Overtaken":     testDeleteOvertaken,
		"Concurrent":    testConcurrent,
		"Closed":        testClosed,
		"Cancelled":     testCancelled,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

func record(topic, data string) eventlog.Record {
	return eventlog.Record{Topics: []string{topic}, Data: []byte(data)}
}

func openLog(t *testing.T, open Open, r eventlog.Retention) eventlog.Log {
	t.Helper()
	log := open(t, r)
	t.Cleanup(func() {
		if err := log.Close(); err != nil && !errors.Is(err, eventlog.ErrClosed) {
			t.Errorf("Close: %v", err)
		}
	})
	return log
}

func appendAll(t *testing.T, log eventlog.Log, recs ...eventlog.Record) []eventlog.ID {
	t.Helper()
	results, err := log.Append(t.Context(), recs...)
	if err != nil || len(results) != len(recs) {
		t.Fatalf("Append = %d results, %v; want %d", len(results), err, len(recs))
	}
	ids := make([]eventlog.ID, len(results))
	for i, r := range results {
		if r.Err != nil || r.Duplicate {
			t.Fatalf("Append: result %d = %+v", i, r)
		}
		ids[i] = r.ID
	}
	return ids
}

// appendN appends n events, one per call, with their number as data.
func appendN(t *testing.T, log eventlog.Log, topic string, n int) []eventlog.ID {
	t.Helper()
	var ids []eventlog.ID
	for i := range n {
		ids = append(ids, appendAll(t, log, record(topic, fmt.Sprint(i)))...)
	}
	return ids
}

func origin(t *testing.T, log eventlog.Log) eventlog.ID {
	t.Helper()
	b, err := log.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return b.Origin
}

// settle waits until retention has left at most n events, because an engine may trim in
// the background.
func settle(t *testing.T, log eventlog.Log, n int64) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		b, err := log.Bounds(t.Context())
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("retention should leave %d events: %+v, %v", n, b, err)
		}
		if b.Events <= n {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// data collects the data of all events. These must not end in an error.
func data(t *testing.T, events iter.Seq2[*eventlog.Event, error]) []string {
	t.Helper()
	got := []string{}
	for e, err := range events {
		if err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		got = append(got, string(e.Data))
	}
	return got
}

// lastError reads all events and returns the error at their end, if any.
func lastError(events iter.Seq2[*eventlog.Event, error]) (err error) {
	for _, err = range events {
	}
	return err
}

// onTopic returns a query for the events with any of the topics.
func onTopic(topics ...string) eventlog.Query {
	return eventlog.Query{Topics: topics, Match: func(e *eventlog.Event) bool {
		return slices.ContainsFunc(e.Topics, func(t string) bool { return slices.Contains(topics, t) })
	}}
}

// withID returns a query for the events with a publisher's id.
func withID(id string) eventlog.Query {
	return eventlog.Query{PublisherID: id, Match: func(e *eventlog.Event) bool { return e.PublisherID == id }}
}

func equal(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}
