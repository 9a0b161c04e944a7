//go:build linux

package attack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A Target is the hub under attack.
type Target struct {
	Addr  string  // HOST:PORT
	From  string  // address that connections come from, so that each attack has its own ports
	Key   string  // the secret that signs the hub's tokens
	Files int     // the hub's limit on open files
	Scale float64 // factor for the sizes of attacks
	Until string  // the answer that ends the attack; "": none
}

// A trial is a running attack.
type trial struct {
	Target
	publisher, operator string // tokens
	client              *http.Client
	end                 context.CancelFunc

	mu      sync.Mutex
	answers map[string]int
}

func newTrial(target Target) *trial {
	t := &trial{Target: target, answers: map[string]int{}}
	t.publisher = t.token("publisher", false, grant{Publish: []string{"*"}})
	t.operator = t.token("operator", true, grant{})
	t.client = &http.Client{
		Timeout:   time.Minute,
		Transport: &http.Transport{DialContext: t.dialer(0).DialContext, MaxIdleConnsPerHost: 64, DisableCompression: true},
	}
	return t
}

// A grant is the mercure claim of a token.
type grant struct {
	Publish   []string `json:"publish,omitempty"`
	Subscribe []string `json:"subscribe,omitempty"`
	Payload   string   `json:"payload,omitempty"`
}

// token returns the value of an Authorization header.
func (t *trial) token(subject string, admin bool, g grant) string {
	c := jwt.MapClaims{"sub": subject, "mercure": g, "tidings": map[string]bool{"admin": admin}}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString([]byte(t.Key))
	if err != nil {
		panic(err) // signing with a secret does not fail
	}
	return "Bearer " + signed
}

// n scales one of the attack's numbers, to at least 1.
func (t *trial) n(full int) int { return max(1, int(float64(full)*t.Scale)) }

// pauseAfterFailure keeps a refused attack from spinning.
const pauseAfterFailure = 50 * time.Millisecond

// swarm runs n visits at a time until ctx ends. Visits are numbered, and report whether
// the hub served them.
func (t *trial) swarm(ctx context.Context, n int, visit func(ctx context.Context, i int) bool) {
	var wg sync.WaitGroup
	for first := range n {
		wg.Go(func() {
			for i := first; ctx.Err() == nil; i += n {
				if !visit(ctx, i) {
					sleep(ctx, pauseAfterFailure)
				}
			}
		})
	}
	wg.Wait()
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// count counts an answer, unless the end of the attack caused it.
func (t *trial) count(ctx context.Context, answer string) {
	if ctx.Err() != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answers[answer]++
	if answer == t.Until {
		t.end()
	}
}

// failed counts the reason why there is no answer. It returns false, as such a visit
// does.
func (t *trial) failed(ctx context.Context, err error) bool {
	var netErr net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		t.count(ctx, "refused")
	case errors.As(err, &netErr) && netErr.Timeout():
		t.count(ctx, "timeout")
	default:
		t.count(ctx, "cut off")
	}
	return false
}

// ask sends a request, reads the whole answer, counts it, and reports whether it is a
// success. header is names and values by turns.
func (t *trial) ask(ctx context.Context, method, path, body string, headers ...string) bool {
	status, err := t.request(ctx, method, path, body, headers...)
	if err != nil {
		return t.failed(ctx, err)
	}
	t.count(ctx, strconv.Itoa(status))
	return status/100 == 2
}

func (t *trial) request(ctx context.Context, method, path, body string, headers ...string) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+t.Addr+path, strings.NewReader(body))
	if err != nil {
		panic(fmt.Sprintf("%s %.100s: %v", method, path, err)) // a mistake in the attack
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := t.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }() // read to its end
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}
