//go:build linux

package attack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// An event is what attacks publish.
type event struct {
	Topics []string `json:"topics"`
	Data   string   `json:"data"`
}

// maxBatch is how many bytes of events a request has at most, less than --max-body.
const maxBatch = 900 << 10

// publish publishes n events in as few requests as possible, and repeats each request
// until the hub accepts it, because the attack needs the events.
func (t *trial) publish(ctx context.Context, n int, make func(i int) event) {
	var batch bytes.Buffer
	send := func() {
		for !t.published(ctx, "application/x-ndjson", batch.String()) && ctx.Err() == nil {
			sleep(ctx, time.Second)
		}
		batch.Reset()
	}
	lines := 0
	for i := range n {
		line, err := json.Marshal(make(i))
		if err != nil {
			panic(err) // strings always encode
		}
		if batch.Len() > 0 && batch.Len()+len(line) > maxBatch || lines == 5000 {
			send()
			lines = 0
		}
		batch.Write(append(line, '\n'))
		lines++
	}
	send()
}

// every publishes an event at each interval until ctx ends.
func (t *trial) every(ctx context.Context, interval time.Duration, make func(i int) event) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for i := 0; ctx.Err() == nil; i++ {
		line, err := json.Marshal(make(i))
		if err != nil {
			panic(err) // strings always encode
		}
		t.published(ctx, "application/json", string(line))
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// published publishes a body and reports whether the hub accepted it. It counts only
// failures as answers.
func (t *trial) published(ctx context.Context, contentType, body string) bool {
	status, err := t.request(ctx, "POST", "/events", body, "Content-Type", contentType, "Authorization", t.publisher)
	if err != nil {
		return t.failed(ctx, err)
	}
	if status/100 != 2 {
		t.count(ctx, fmt.Sprint("publish ", status))
	}
	return status/100 == 2
}
