package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"sync"
	"time"
)

const (
	// TicketStart is how long a ticket waits for its first use.
	TicketStart = 30 * time.Second
	// TicketIdle is how long it lasts without a stream.
	TicketIdle = 10 * time.Minute
	// maxTickets is how many there may be at a time.
	maxTickets = 100_000
)

// A ticket is a handle to what a token may see, for an address that a native
// EventSource asks for: it may be seen where addresses are, the token may not.
type ticket struct {
	grant *Grant
	until time.Time // while there is no stream
	open  int       // streams
	back  bool      // it was given back

	number uint64 // which one it is, to who may end its streams
}

func (t *ticket) good(now time.Time) bool {
	return (t.open > 0 || now.Before(t.until)) && (t.grant.Expires.IsZero() || now.Before(t.grant.Expires))
}

// tickets are kept by their hash: who reads the memory of the hub has none.
type tickets struct {
	mu    sync.Mutex
	all   map[[sha256.Size]byte]*ticket
	sweep int // remove the dead ones when there are so many
}

// Issue gives a ticket for what a grant may see, to be used within
// [TicketStart].
func (a *Auth) Issue(g *Grant) (string, error) {
	var b [24]byte
	_, _ = rand.Read(b[:]) // never fails, as documented
	text := base64.RawURLEncoding.EncodeToString(b[:])
	now := time.Now()
	a.tickets.mu.Lock()
	defer a.tickets.mu.Unlock()
	if len(a.tickets.all) >= max(a.tickets.sweep, 1000) {
		for h, t := range a.tickets.all {
			if !t.good(now) {
				delete(a.tickets.all, h)
			}
		}
		a.tickets.sweep = min(2*len(a.tickets.all), maxTickets)
	}
	if len(a.tickets.all) >= maxTickets {
		return "", &Error{Status: http.StatusTooManyRequests, Detail: "This hub has too many tickets out; try again later."}
	}
	if a.tickets.all == nil {
		a.tickets.all = map[[sha256.Size]byte]*ticket{}
	}
	only := *g
	only.Publish, only.Admin = Grant{}.Publish, false
	h := sha256.Sum256([]byte(text))
	t := &ticket{grant: &only, until: now.Add(TicketStart), number: binary.BigEndian.Uint64(h[:])}
	only.ticket = t
	a.tickets.all[h] = t
	return text, nil
}

// use returns the grant of a ticket. From its first use on it lasts for
// [TicketIdle] at a time.
func (ts *tickets) use(text string) (*Grant, *Error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	h := sha256.Sum256([]byte(text))
	t := ts.all[h]
	now := time.Now()
	if t == nil || !t.good(now) {
		delete(ts.all, h)
		return nil, notAccepted("This ticket is not good, or not any more; get a new one with POST /tickets.", nil)
	}
	t.until = now.Add(TicketIdle)
	return t.grant, nil
}

// Return gives a ticket back before its time, and returns its number, or 0 if
// there is none like it.
func (a *Auth) Return(text string) (number uint64) {
	a.tickets.mu.Lock()
	defer a.tickets.mu.Unlock()
	h := sha256.Sum256([]byte(text))
	t := a.tickets.all[h]
	delete(a.tickets.all, h)
	if t == nil {
		return 0
	}
	t.back = true
	return t.number
}

func (ts *tickets) givenBack(t *ticket) bool {
	if t == nil {
		return false
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return t.back
}

// Ticket is the number of the ticket that a grant came by, or 0.
func (g *Grant) Ticket() uint64 {
	if g.ticket == nil {
		return 0
	}
	return g.ticket.number
}

// Opened notes that a stream of a grant's has opened; the returned function,
// that it has closed. It is nil where nobody needs to know.
func (a *Auth) Opened(g *Grant) (closed func()) {
	if g.ticket == nil {
		return nil
	}
	a.tickets.mu.Lock()
	defer a.tickets.mu.Unlock()
	g.ticket.open++
	return func() {
		a.tickets.mu.Lock()
		defer a.tickets.mu.Unlock()
		g.ticket.open--
		g.ticket.until = time.Now().Add(TicketIdle)
	}
}
