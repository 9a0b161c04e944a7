//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

type churnCheck struct {
	Connections int           `default:"10000" help:"How many connect, in all."`
	Wave        int           `default:"500" help:"How many at the same time."`
	Live        int           `default:"20" help:"How many listen undisturbed meanwhile."`
	Rate        float64       `default:"20" help:"Events a second for them."`
	Settle      time.Duration `default:"30s" help:"How long the hub may take to get rid of what is left."`
}

// maxGrowth is how many bytes the hub may gain in the second half of the churn. It
// would show memory kept for each connection.
const maxGrowth = 64 << 20

func (c *churnCheck) check(ctx context.Context, s *setup) (*report, error) {
	h, err := s.startHub("--retry", "100ms")
	if err != nil {
		return nil, err
	}
	defer h.kill()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	live, err := gather(ctx, h, newSpeaker(h, "live"), c.Live, 0)
	if err != nil {
		return nil, err
	}
	before, err := descriptors(h.pid())
	if err != nil {
		return nil, err
	}
	var middle int64
	var visits visits
	_, err = live.measure(ctx, c.Rate, func() error {
		for from := 0; from < c.Connections; from += c.Wave {
			to := min(from+c.Wave, c.Connections)
			if err := visits.wave(h.addr, from, to); err != nil {
				return err
			}
			if from <= c.Connections/2 {
				if middle, err = rss(h.pid()); err != nil {
					return err
				}
			}
			progress("%d connections", to)
		}
		return errors.Join(visits.lingering(), ctx.Err())
	})
	if err != nil {
		return nil, err
	}
	r := &report{Check: "churn"}
	for _, v := range visitors {
		r.add(v.name, visits.counts[v.name])
	}
	if err := c.remains(ctx, h, r, before, middle); err != nil {
		return nil, err
	}
	v, missing, err := live.dismiss(ctx, time.Minute)
	if err != nil {
		return nil, err
	}
	r.zero("undisturbed listeners that did not reach the end", missing)
	v.report(r)
	h.judge(r)
	return r, nil
}

// remains reports what the hub still holds.
func (c *churnCheck) remains(ctx context.Context, h *process, r *report, before int, middle int64) error {
	after := 0
	for begin := now(); now()-begin < c.Settle; time.Sleep(50 * time.Millisecond) {
		var err error
		if after, err = descriptors(h.pid()); err != nil {
			return err
		}
		if after <= before {
			break
		}
	}
	r.must("hub descriptors left over", max(after-before, 0), after <= before, "0")
	end, err := rss(h.pid())
	if err != nil {
		return err
	}
	r.add("hub memory", kib(end))
	r.must("grown in the second half", kib(end-middle), end-middle <= maxGrowth, "≤ "+kib(maxGrowth))
	threads, err := statusField(h.pid(), "Threads")
	if err != nil {
		return err
	}
	r.add("hub threads", threads)
	// Each visitor had two URI Templates of its own. A hub that keeps their feeds runs
	// into its limit on templates.
	err = freshTemplate(h.addr)
	if err != nil {
		progress("a fresh template: %v", err)
	}
	r.must("a fresh URI Template is served", err == nil, err == nil, "true")
	return ctx.Err()
}

// A visitor is one way to connect and leave. visit returns when the connection has
// ended, with an error if the hub misbehaved.
type visitor struct {
	name  string
	share int // of all connections, relative to the sum of shares
	visit func(c net.Conn, n int) error
	slow  bool // takes as long as the hub allows
}

var visitors = []visitor{
	{name: "subscribe, then close", share: 5, visit: subscribe},
	{name: "subscribe, then reset", share: 3, visit: func(c net.Conn, n int) error {
		err := subscribe(c, n)
		return errors.Join(err, c.(*net.TCPConn).SetLinger(0))
	}},
	{name: "subscribe, then close one half", share: 3, visit: func(c net.Conn, n int) error {
		if err := subscribe(c, n); err != nil {
			return err
		}
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			return err
		}
		return gone(c)
	}},
	{name: "subscribe, and close before the answer", share: 2, visit: func(c net.Conn, n int) error {
		_, err := io.WriteString(c, subscription(n))
		return err
	}},
	{name: "break off in the headers", share: 2, visit: func(c net.Conn, n int) error {
		all := subscription(n)
		_, err := io.WriteString(c, all[:1+n%(len(all)-2)])
		return err
	}},
	{name: "break off in the body", share: 2, visit: func(c net.Conn, _ int) error {
		_, err := io.WriteString(c, "POST /events/churn HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"data\":")
		return err
	}},
	{name: "send garbage", share: 2, visit: func(c net.Conn, n int) error {
		if _, err := c.Write(garbage(n)); err != nil {
			return ignoreReset(err)
		}
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			return ignoreReset(err)
		}
		return gone(c)
	}},
	{name: "send headers slower than allowed", share: 1, visit: slowly, slow: true},
}

// visits count a churn's visitors.
type visits struct {
	counts map[string]int
	slow   []chan error // results of visitors that a wave does not wait for
}

// wave runs the visitors with numbers from from up to to at the same time, and waits
// for all but the slow ones.
func (vs *visits) wave(addr string, from, to int) error {
	if vs.counts == nil {
		vs.counts = map[string]int{}
	}
	var turns []visitor
	for _, v := range visitors {
		turns = append(turns, slices.Repeat([]visitor{v}, v.share)...)
	}
	conns := make([]net.Conn, to-from)
	for i := range conns {
		var err error
		if conns[i], err = net.Dial("tcp", addr); err != nil {
			return err
		}
	}
	var quick []chan error
	for i, c := range conns {
		v := turns[(from+i)%len(turns)]
		vs.counts[v.name]++
		done := make(chan error, 1)
		go func() {
			err := v.visit(c, from+i)
			_ = c.Close() // it may be closed already
			if err != nil {
				err = fmt.Errorf("%s: %w", v.name, err)
			}
			done <- err
		}()
		if v.slow {
			vs.slow = append(vs.slow, done)
		} else {
			quick = append(quick, done)
		}
	}
	return results(quick)
}

// lingering waits for the slow visitors.
func (vs *visits) lingering() error { return results(vs.slow) }

func results(done []chan error) error {
	var errs []error
	for _, c := range done {
		errs = append(errs, <-c)
	}
	return errors.Join(errs...)
}

// patience is how long a visitor waits for the hub, which is longer than the hub waits
// for headers.
const patience = 20 * time.Second

// subscription returns a request for topics that no other visitor has asked for.
func subscription(n int) string {
	q := url.Values{"topic": {fmt.Sprint("churn-", n), fmt.Sprintf("https://churn.example/a/%d/{x}", n), fmt.Sprintf("https://churn.example/b/%d/{x}", n)}}
	return "GET /events?" + q.Encode() + " HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nX-Filler: " + strings.Repeat("x", 200) + "\r\n\r\n"
}

// subscribe sends a subscription and reads up to the stream's first position.
func subscribe(c net.Conn, n int) error {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, subscription(n)); err != nil {
		return err
	}
	_, err := readPlace(c)
	return err
}

// readPlace reads a stream's first block, and returns a reader of what follows.
func readPlace(c net.Conn) (*bufio.Reader, error) {
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the hub answered %s", resp.Status)
	}
	body := bufio.NewReader(resp.Body)
	for {
		line, err := body.ReadString('\n')
		if err != nil {
			return nil, fmt.Errorf("a stream without a place: %w", err)
		}
		if line == "\n" { // the end of the first block, which has the position
			return body, nil
		}
	}
}

// gone waits until the hub has closed a connection.
func gone(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return ignoreReset(err)
	}
	_, err := io.Copy(io.Discard, c)
	return ignoreReset(err)
}

// ignoreReset returns nil for an error that says only that the connection has ended.
func ignoreReset(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("the hub keeps the connection: %w", err)
	}
	return nil
}

// slowly sends headers byte by byte, and expects to be cut off.
func slowly(c net.Conn, n int) error {
	begin := time.Now()
	for _, b := range []byte(subscription(n)) {
		if _, err := c.Write([]byte{b}); err != nil {
			return nil
		}
		if err := c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			return err
		}
		if _, err := c.Read(make([]byte, 1)); err == io.EOF {
			return nil
		} else if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if time.Since(begin) > patience {
			return errors.New("the hub still reads headers after " + patience.String())
		}
	}
	return errors.New("the hub took headers that came a byte at a time")
}

// garbage returns bytes that are not a request, in one of several ways.
func garbage(n int) []byte {
	rng := rand.New(rand.NewPCG(uint64(n), 0))
	noise := make([]byte, 1+rng.IntN(4000))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	return bytes.Join([][]byte{[]byte([]string{
		"", "GET ", "GET /events?topic=%zz HTTP/1.1\r\n", "POST /events HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01", "GET /events/a HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: ",
	}[n/7%7]), noise}, nil)
}

// freshTemplate subscribes with a URI Template that no other visitor has used.
func freshTemplate(addr string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // it has served its purpose
	return subscribe(c, 1<<30)
}
