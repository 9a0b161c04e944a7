//go:build linux

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// An entry is what a publisher knows about one of its events. An event that was not
// acknowledged may be in the log or not.
type entry struct {
	id    string // from the hub's answer
	acked bool
}

// A publisher publishes numbered events one after the other and repeats each until it
// is acknowledged, so that its ledger is exact.
type publisher struct {
	num    uint32
	hub    *process
	client *http.Client
	how    manner
	size   func(seq uint32) int
	topics func(seq uint32) []string
	types  func(seq uint32) string
	token  string // "" on a hub without keys
	// forsake skips an event whose first attempt broke. The log may have it once or not
	// at all.
	forsake bool

	ledger     []entry
	retries    int
	duplicates int // answered as duplicates
}

// A manner is a form of publish request.
type manner int

const (
	textWithID   manner = iota // plain text, the rest in the query, with an id
	jsonWithKey                // JSON and an Idempotency-Key
	batchWithIDs               // NDJSON, each item with an id
	batchWithKey               // NDJSON and one Idempotency-Key
	manners
)

// batchSize is how many events an NDJSON batch has.
const batchSize = 8

func newPublisher(h *process, num uint32, how manner) *publisher {
	return &publisher{
		num: num, hub: h, how: how,
		// The timeout is for a hub that does not answer, which leaves the outcome
		// unknown.
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}, Timeout: 30 * time.Second},
		size:   func(uint32) int { return 80 },
		types:  func(uint32) string { return "" },
	}
}

// run publishes perSecond events a second until stop is closed or ctx ends. The end of
// ctx also breaks off a request.
func (p *publisher) run(ctx context.Context, perSecond float64, stop <-chan struct{}) error {
	defer p.client.CloseIdleConnections()
	n := 1
	if p.how >= batchWithIDs {
		n = batchSize
	}
	tick := time.NewTicker(time.Duration(float64(n) / perSecond * float64(time.Second)))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-stop:
			return nil
		case <-tick.C:
		}
		if err := p.publish(ctx, n); err != nil {
			return fmt.Errorf("publisher %d: %w", p.num, err)
		}
	}
}

// errRefused is the error for an answer that a retry cannot change.
var errRefused = errors.New("the hub refused an event")

// publish publishes the next n events. It returns nil once they are acknowledged, or
// when ctx ends before that.
func (p *publisher) publish(ctx context.Context, n int) error {
	first := len(p.ledger)
	p.ledger = append(p.ledger, make([]entry, n)...)
	req := p.request(first, n)
	for {
		err := p.try(ctx, req, first, n)
		if err == nil || ctx.Err() != nil || p.forsake && !errors.Is(err, errRefused) {
			return nil
		}
		if errors.Is(err, errRefused) {
			return err
		}
		p.retries++
		rest := 20 * time.Millisecond
		if refused := (*statusError)(nil); errors.As(err, &refused) {
			rest = max(rest, refused.after)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(rest):
		}
	}
}

// try sends the request once and records in the ledger what is acknowledged.
func (p *publisher) try(ctx context.Context, r *publishRequest, first, n int) error {
	resp, body, err := request(ctx, p.client, "POST", r.url, r.header, r.body)
	if err != nil {
		return err
	}
	switch status := resp.StatusCode; {
	case status == http.StatusServiceUnavailable, status == http.StatusTooManyRequests, status == http.StatusInsufficientStorage:
		return &statusError{status, body, retryAfter(resp)}
	case status/100 != 2:
		return fmt.Errorf("%w: %d %s", errRefused, status, body)
	}
	answers := json.NewDecoder(bytes.NewReader(body))
	for i := range n {
		var a struct {
			ID        string
			Duplicate bool
			Status    int
		}
		if err := answers.Decode(&a); err != nil || a.ID == "" && a.Status < 500 {
			return fmt.Errorf("%w: item %d of the answer %d is %+v (%w)", errRefused, i, resp.StatusCode, a, cmp.Or(err, errors.New("no id")))
		}
		if a.ID == "" {
			return &statusError{a.Status, body, 0}
		}
		if a.Duplicate {
			p.duplicates++
		}
		p.ledger[first+i] = entry{a.ID, true}
	}
	return nil
}

// A statusError is an answer that asks to retry later.
type statusError struct {
	status int
	body   []byte
	after  time.Duration // the wait that it asks for, or 0
}

// retryAfter returns the wait that an answer asks for, in seconds (RFC 9110 §10.2.3),
// or 0.
func retryAfter(resp *http.Response) time.Duration {
	seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After")) // 0 without the header
	return time.Duration(seconds) * time.Second
}

func (e *statusError) Error() string { return fmt.Sprintf("the hub answered %d: %s", e.status, e.body) }

type publishRequest struct {
	url    string
	header http.Header
	body   []byte
}

// request returns the request for n events. It is the same, byte for byte, on every
// attempt.
func (p *publisher) request(first, n int) *publishRequest {
	key := fmt.Sprintf("%d-%d", p.num, first)
	r := &publishRequest{url: p.hub.url("/events"), header: http.Header{"Content-Type": {"application/x-ndjson"}}}
	if p.token != "" {
		r.header.Set("Authorization", "Bearer "+p.token)
	}
	if p.how == textWithID {
		seq := uint32(first)
		q := url.Values{"topic": p.topics(seq), "id": {key}}
		if t := p.types(seq); t != "" {
			q.Set("type", t)
		}
		r.url += "?" + q.Encode()
		r.header.Set("Content-Type", "text/plain")
		r.body = []byte(p.data(seq))
		return r
	}
	if p.how == jsonWithKey {
		r.header.Set("Content-Type", "application/json")
	}
	if p.how != batchWithIDs {
		r.header.Set("Idempotency-Key", key)
	}
	for i := range n {
		r.body = append(r.body, p.item(uint32(first+i))...)
		r.body = append(r.body, '\n')
	}
	return r
}

func (p *publisher) item(seq uint32) []byte {
	item := struct {
		Topics []string `json:"topics"`
		Type   string   `json:"type,omitempty"`
		ID     string   `json:"id,omitempty"`
		Data   string   `json:"data"`
	}{Topics: p.topics(seq), Type: p.types(seq), Data: p.data(seq)}
	if p.how == batchWithIDs {
		item.ID = strconv.Itoa(int(p.num)) + "-" + strconv.Itoa(int(seq))
	}
	b, err := json.Marshal(item)
	if err != nil {
		panic(err) // strings always encode
	}
	return b
}

func (p *publisher) data(seq uint32) string { return event{p.num, seq, now()}.data(p.size(seq)) }

// acked counts the acknowledged events.
func (p *publisher) acked() (n int) {
	for _, e := range p.ledger {
		if e.acked {
			n++
		}
	}
	return n
}
