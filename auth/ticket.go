package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"sync"
	"time"

	"github.com/tidings-sse/tidings/budget"
)

const (
	// TicketStart is how long a ticket waits for its first use.
	TicketStart = 30 * time.Second
	// TicketIdle is how long a used ticket lasts without a stream.
	TicketIdle = 10 * time.Minute
	// ticketSize is roughly how many bytes a ticket takes, without the grant of its token,
	// which other tickets may share.
	ticketSize = 500
	// ticketsEach limits the tickets of one subject's tokens: they may take 1/ticketsEach
	// of the tickets' share of the budget.
	ticketsEach = 8
	// ticketSweep is how often tickets that are no longer valid are removed.
	ticketSweep = 10 * time.Second
)

// A ticket stands for a token's right to subscribe in the address of a native EventSource.
// Addresses may be seen by others, and a token must not be.
type ticket struct {
	grant *Grant
	of    *Grant    // the token's grant
	until time.Time // when it ends if no stream is open
	open  int       // how many streams are open
	back  bool      // it was given back

	number uint64 // identifies the ticket, so that its streams can be ended
}

func (t *ticket) good(now time.Time) bool {
	return (t.open > 0 || now.Before(t.until)) && (t.grant.Expires.IsZero() || now.Before(t.grant.Expires))
}

// tickets are stored by their hashes, so that the hub's memory does not contain them.
// Their memory is taken from a share of the budget. A timer removes those that are no
// longer valid, so that no request waits for that.
type tickets struct {
	share *budget.Share

	mu      sync.Mutex
	all     map[[sha256.Size]byte]*ticket
	grants  map[*Grant]int              // how many tickets each grant has
	holders map[[sha256.Size]byte]int64 // bytes by [Grant].holder
	sweeper *time.Timer                 // nil: there are no tickets
}

// Issue returns a ticket for a grant, to be used within [TicketStart]. The error is an
// [*Error]: 401 for a request without a token, which needs no ticket, and 429 if the
// tickets of the token's subject, or all tickets, take as much memory as they may.
func (a *Auth) Issue(g *Grant) (string, error) {
	if !g.Personal() {
		return "", &Error{Status: http.StatusUnauthorized, Detail: "A ticket stands for a token, and the request has none: subscribe without a ticket, or send Authorization: Bearer TOKEN."}
	}
	var b [24]byte
	_, _ = rand.Read(b[:]) // never fails, as documented
	text := base64.RawURLEncoding.EncodeToString(b[:])
	only := *g
	only.Publish, only.Admin = Grant{}.Publish, false
	h := sha256.Sum256([]byte(text))
	t := &ticket{grant: &only, of: g, until: time.Now().Add(TicketStart), number: binary.BigEndian.Uint64(h[:])}
	only.ticket = t
	if !a.tickets.add(h, t) {
		return "", &Error{Status: http.StatusTooManyRequests, Detail: "There are too many tickets: use the ones that you have, give back unneeded ones with DELETE /tickets, or try again when some have expired."}
	}
	return text, nil
}

// add adds t and reports whether it fits.
func (ts *tickets) add(h [sha256.Size]byte, t *ticket) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	size, holder := ts.size(t), t.of.holder
	if ts.holders[holder]+size > ts.share.Most()/ticketsEach || !ts.share.Take(size) {
		return false
	}
	if ts.sweeper == nil {
		ts.all, ts.grants, ts.holders = map[[sha256.Size]byte]*ticket{}, map[*Grant]int{}, map[[sha256.Size]byte]int64{}
		ts.sweeper = time.AfterFunc(ticketSweep, ts.sweep)
	}
	ts.all[h] = t
	ts.grants[t.of]++
	ts.holders[holder] += size
	return true
}

// size returns roughly how many bytes t takes in addition to all others. It needs ts.mu.
func (ts *tickets) size(t *ticket) int64 {
	n := ticketSize
	if ts.grants[t.of] == 0 {
		n += t.of.size()
	}
	return int64(n)
}

// remove removes t. It needs ts.mu.
func (ts *tickets) remove(h [sha256.Size]byte, t *ticket) {
	delete(ts.all, h)
	if ts.grants[t.of]--; ts.grants[t.of] == 0 {
		delete(ts.grants, t.of)
	}
	size, holder := ts.size(t), t.of.holder
	ts.share.Give(size)
	if ts.holders[holder] -= size; ts.holders[holder] == 0 {
		delete(ts.holders, holder)
	}
}

// sweep removes tickets that are no longer valid. It releases the lock now and then.
func (ts *tickets) sweep() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	looked := 0
	for h, t := range ts.all {
		if !t.good(time.Now()) {
			ts.remove(h, t)
		}
		if looked++; looked%256 == 0 {
			ts.mu.Unlock()
			ts.mu.Lock()
		}
	}
	if len(ts.all) > 0 {
		ts.sweeper.Reset(ticketSweep)
		return
	}
	ts.all, ts.grants, ts.holders, ts.sweeper = nil, nil, nil, nil // because a map does not shrink
}

// use returns the grant of a ticket. From then on, the ticket lasts for [TicketIdle] after
// its last use or stream.
func (ts *tickets) use(text string) (*Grant, *Error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	h := sha256.Sum256([]byte(text))
	t := ts.all[h]
	now := time.Now()
	if t != nil && !t.good(now) {
		ts.remove(h, t)
		t = nil
	}
	if t == nil {
		return nil, notAccepted("This ticket is not valid, or not any more; get a new one with POST /tickets.", nil)
	}
	t.until = now.Add(TicketIdle)
	return t.grant, nil
}

// Return invalidates a ticket. It returns the ticket's number, or 0 if there is no such
// ticket.
func (a *Auth) Return(text string) (number uint64) {
	a.tickets.mu.Lock()
	defer a.tickets.mu.Unlock()
	h := sha256.Sum256([]byte(text))
	t := a.tickets.all[h]
	if t == nil {
		return 0
	}
	a.tickets.remove(h, t)
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

// Ticket returns the number of the ticket that the request carried, or 0.
func (g *Grant) Ticket() uint64 {
	if g.ticket == nil {
		return 0
	}
	return g.ticket.number
}

// Opened records that a stream of the grant has opened. The caller must call the returned
// function when the stream has closed. It is nil if the grant has no ticket.
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
