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
	// TicketIdle is how long it lasts without a stream.
	TicketIdle = 10 * time.Minute
	// ticketSize is roughly what one takes, in bytes, beside the grant of its token, which
	// others may share.
	ticketSize = 500
	// ticketsEach is the part of the tickets' share of the budget that the tokens of one
	// subject may take.
	ticketsEach = 8
	// ticketSweep is how often tickets that are not good any more are removed.
	ticketSweep = 10 * time.Second
)

// A ticket is a handle to what a token may see, for an address that a native
// EventSource asks for: it may be seen where addresses are, the token may not.
type ticket struct {
	grant *Grant
	of    *Grant    // the token's
	until time.Time // while there is no stream
	open  int       // streams
	back  bool      // it was given back

	number uint64 // which one it is, to who may end its streams
}

func (t *ticket) good(now time.Time) bool {
	return (t.open > 0 || now.Before(t.until)) && (t.grant.Expires.IsZero() || now.Before(t.grant.Expires))
}

// tickets are kept by their hashes, so that the hub's memory holds none of them. They
// take their bytes from a share of the budget. A timer removes those that are not good
// any more, so that no request waits for it.
type tickets struct {
	share *budget.Share

	mu      sync.Mutex
	all     map[[sha256.Size]byte]*ticket
	grants  map[*Grant]int              // how many are of each
	holders map[[sha256.Size]byte]int64 // bytes, by [Grant].holder
	sweeper *time.Timer                 // nil: there are no tickets
}

// Issue gives a ticket for what a token may see, to be used within [TicketStart]. It
// gives none to a reader without a token, who sees the same without, and answers 429
// when the tickets of the token's subject, or all together, take what they may.
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
		return "", &Error{Status: http.StatusTooManyRequests, Detail: "There are too many tickets: use those that you have, give back with DELETE /tickets what is not needed, or try again when some have run out."}
	}
	return text, nil
}

// add reports whether t fits.
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

// size returns roughly how many bytes t takes more than the others do. ts.mu is held.
func (ts *tickets) size(t *ticket) int64 {
	n := ticketSize
	if g := t.of; ts.grants[g] == 0 {
		n += len(g.Payload) + len(g.Subject) + len(g.ID) + g.Subscribe.Size() + g.Publish.Size()
	}
	return int64(n)
}

// remove forgets t. ts.mu is held.
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

// sweep removes what is not good any more. It lets go of the lock every now and then.
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
	ts.all, ts.grants, ts.holders, ts.sweeper = nil, nil, nil, nil // a map does not shrink
}

// use returns the grant of a ticket. From its first use on it lasts for
// [TicketIdle] at a time.
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
