package edge

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tidings-sse/tidings/auth"
	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/internal/descriptors"
	"github.com/tidings-sse/tidings/internal/park"
	"github.com/tidings-sse/tidings/sse"
	"github.com/tidings-sse/tidings/topic"
)

// servedSize is about how many bytes an unparked HTTP/1 stream takes, besides what its
// connection took before.
const servedSize = 16 << 10

// Stream serves one subscriber until its client leaves or the hub ends the stream, in
// this goroutine or parked. It sends errors itself, as [Edge.Refuse] does. Of o it uses
// Envelope, Positions and IDs, and sets the rest.
func (e *Edge) Stream(w http.ResponseWriter, r *http.Request, g *auth.Grant, s hub.Subscription, o hub.StreamOptions) {
	if g.Personal() { // no-transform keeps proxies from compressing, since that buffers
		w.Header().Set("Cache-Control", "private, no-cache, no-transform")
	}
	if _, draining := e.hub.Draining(); draining {
		e.comeBackAfterDrain(w, r, s, o)
		return
	}
	if !e.room(r) {
		if takesDescriptor(r) {
			w.Header().Set("Connection", "close") // over HTTP/2, a GOAWAY
		}
		e.comeBack(w, r, s, o, e.Retry+rand.N(4*e.Retry), "This hub has as many connections as it may have; try again later.")
		return
	}
	if streams, counted := r.Context().Value(connStreams{}).(*atomic.Int32); counted {
		streams.Add(1)
		defer streams.Add(-1)
	}
	if r.ProtoAtLeast(1, 1) && e.parks(w, r) {
		o.Framing = park.Chunks
	}
	if !e.parks(w, r) {
		o.Request = keptHead(r)
	}
	st, err := e.open(w, r, g, s, o)
	if err != nil {
		return // answered
	}
	w.Header().Set("Last-Event-ID", beginning(st, s, o.IDs != nil && o.IDs.Earliest))
	if o.Framing != nil || e.parks(w, r) { // a parked connection serves no other request (RFC 9112 §9.6)
		w.Header().Set("Connection", "close")
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // the stream sets its own, see [Bound]
	large := headSize(r) > mostHead
	if large {
		r.Header.Del("Last-Event-ID") // already parsed, and the response would keep it
	}
	// The hub sends its own heartbeat, because that carries the position.
	out, err := sse.Accept(w, r, &sse.AcceptOptions{Heartbeat: -1, WriteTimeout: e.WriteTimeout})
	if err != nil || r.Method == http.MethodHead {
		st.Close()
		return
	}
	defer func() { _ = out.Close() }()
	if e.parks(w, r) && e.lot.Take(w, st) {
		return
	}
	if o.Framing != nil { // parking failed
		if s.From == (hub.From{}) { // so that no event since the headers is missed
			s.From.LastEventID, _ = st.Start()
		}
		st.Close()
		o.Framing, o.Request = nil, keptHead(r)
		if st, err = e.begin(r, g, s, o); err != nil {
			breakOff(r)
			return
		}
	}
	if r.ProtoMajor == 1 { // BoundRequests counts HTTP/2 requests
		held := e.Budget.Share(budget.Connections)
		held.Add(servedSize)
		defer held.Give(servedSize)
	}
	if large {
		forgetHead(w, r)
	}
	if err := e.serve(st, out); out.Context().Err() == nil && !hub.IsFinal(err) {
		if r.ProtoMajor > 1 {
			letRead(r)
		}
		breakOff(r)
	}
}

// comeBackAfterDrain answers with a time to reconnect at which the draining hub is
// gone.
func (e *Edge) comeBackAfterDrain(w http.ResponseWriter, r *http.Request, s hub.Subscription, o hub.StreamOptions) {
	retry, _ := e.hub.Draining()
	e.comeBack(w, r, s, o, retry, "This hub is shutting down; come back when another has taken its place.")
}

// breakOff ends a response so that every client takes it for broken and reconnects;
// some clients do not after a regular end. HTTP/1 omits the last chunk, and HTTP/2
// sends RST_STREAM with a code that net/http chooses (INTERNAL_ERROR). What has been
// written still arrives.
func breakOff(r *http.Request) {
	if r.Method != http.MethodHead { // a HEAD response is complete without a body
		panic(http.ErrAbortHandler)
	}
}

// readingTime is how long a response stays open after its last bytes.
const readingTime = 500 * time.Millisecond

// letRead gives a client time to read the last bytes. Chromium drops bytes that arrive
// together with the reset of an HTTP/2 stream, and the reconnection time with them.
// Proxies turn the broken end of an HTTP/1 response into such a reset.
func letRead(r *http.Request) {
	if r.Method == http.MethodHead {
		return
	}
	select {
	case <-r.Context().Done():
	case <-time.After(readingTime):
	}
}

// connStreams is the context key of the number of streams on an HTTP/2 connection.
type connStreams struct{}

// CountStreams is for [http.Server].ConnContext. With it, the API knows whether an
// HTTP/2 connection already carries a stream, so that another takes no descriptor of
// its own. Without it, the API does not refuse HTTP/2 streams when descriptors run
// short.
func CountStreams(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connStreams{}, new(atomic.Int32))
}

// takesDescriptor reports whether a stream would take a descriptor that its connection
// does not need anyway.
func takesDescriptor(r *http.Request) bool {
	streams, counted := r.Context().Value(connStreams{}).(*atomic.Int32)
	return r.ProtoMajor == 1 || counted && streams.Load() == 0
}

// room reports whether another stream may open. Streams leave some descriptors, and a
// quarter of the memory of connections, to publishers and operators.
func (e *Edge) room(r *http.Request) bool {
	if held := e.Budget.Share(budget.Connections); held.Used() > held.Most()/4*3 {
		e.exhausted.Do(func() {
			e.Logger.Warn("connections have most of the memory that they may take, and new streams have to come back later; raise --memory-limit, or let a proxy limit connections",
				"bytes", held.Used(), "limit", held.Most())
		})
		return false
	}
	if !takesDescriptor(r) {
		return true
	}
	u := descriptors.Now()
	if u.Room() {
		return true
	}
	e.crowded.Do(func() {
		e.Logger.Warn("nearly all descriptors are taken, and new streams have to come back later; raise the limit on open files (ulimit -n, LimitNOFILE= in a systemd unit)",
			"open", u.Open, "limit", u.Limit)
	})
	return false
}

// parks reports whether a request's stream can do without a goroutine.
func (e *Edge) parks(w http.ResponseWriter, r *http.Request) bool {
	return !e.Unparked && e.lot.Suits(w, r)
}

// open opens a stream. If it returns an error, it has answered the request.
func (e *Edge) open(w http.ResponseWriter, r *http.Request, g *auth.Grant, s hub.Subscription, o hub.StreamOptions) (*hub.Stream, error) {
	st, err := e.begin(r, g, s, o)
	var invalid *topic.InvalidError
	var denied *auth.Error
	switch {
	case err == nil:
	case errors.As(err, &denied):
		e.Refuse(w, r, err)
	case errors.As(err, &invalid):
		e.Problem(err).Write(w)
	case r.Context().Err() != nil: // the client has gone already
	case errors.Is(err, hub.ErrDrained): // the hub began to drain meanwhile
		e.comeBackAfterDrain(w, r, s, o)
	default:
		if isBusy(err) {
			e.logBusy(err)
		} else if e.refusals.Allow() { // clients that fill the hub's budgets must not fill its log
			e.Logger.Error("cannot open a stream", "err", err)
		}
		e.comeBack(w, r, s, o, e.Retry+rand.N(e.Retry), "This hub cannot serve this stream now; try again later.")
	}
	return st, err
}

// isBusy reports whether a subscription was refused because of what other clients ask
// for.
func isBusy(err error) bool {
	return errors.Is(err, hub.ErrTooManyTemplates) || errors.Is(err, hub.ErrTooManySelectors) || errors.Is(err, hub.ErrBusy) ||
		errors.Is(err, hub.ErrOverBudget)
}

// logBusy logs err at most once a second, because any client can cause it.
func (e *Edge) logBusy(err error) {
	if e.busy.Allow() {
		e.Logger.Warn("cannot serve a subscription", "err", err)
	}
}

// begin opens the hub's stream, unless an operator has ended the subscription.
func (e *Edge) begin(r *http.Request, g *auth.Grant, s hub.Subscription, o hub.StreamOptions) (*hub.Stream, error) {
	o.Retry, o.Heartbeat, o.Expires = e.Retry, e.Heartbeat, g.Expires
	o.Peer = hub.Peer{
		Subject: g.Subject, TokenID: g.ID, Ticket: g.Ticket(), Payload: string(g.Payload),
		Remote: r.RemoteAddr, UserAgent: r.UserAgent(),
	}
	o.OnClose = e.Auth.Opened(g)
	st, err := e.hub.Stream(r.Context(), s, o)
	if err != nil {
		if o.OnClose != nil {
			o.OnClose()
		}
		return nil, err
	}
	// Checked once operators can find the stream, so that a revocation made in between
	// is not missed.
	if err := e.Banned(g, &s); err != nil {
		st.End(hub.ErrKicked)
		st.Close()
		return nil, err
	}
	return st, nil
}

// beginning returns the id just before the first event of a stream: the id that was
// asked for, if it is known. Before a gap it is "earliest". It is
// also "earliest" if that was asked for and the dialect spells it so.
func beginning(st *hub.Stream, s hub.Subscription, echoes bool) string {
	id, gap := st.Start()
	asked := s.From.LastEventID
	switch {
	case gap:
		return hub.Earliest
	case asked != "" && (echoes || asked != hub.Earliest):
		return asked
	}
	return id
}

// serve writes a stream until its peer leaves or the hub ends it, then closes it and
// returns the cause.
func (e *Edge) serve(st *hub.Stream, out *sse.Stream) error {
	defer st.Close()
	st.OnOver(out.Hurry)
	err := st.Serve(out.Context(), func(b []byte) error {
		_, err := out.Write(b)
		return err
	})
	st.End(cause(err, out.Context()))
	// A peer that leaves, a hub that stops and an intended end are no errors of this
	// stream.
	if !hub.WasEnded(err) && out.Context().Err() == nil && e.hub.Err() == nil {
		e.Logger.Error("a stream ended", "err", err)
	}
	return err
}

// cause returns why a stream ended, given the error from reading or writing it and the
// context of its response.
func cause(err error, peer context.Context) error {
	switch {
	// ETIMEDOUT is the kernel's timeout for data that the peer does not acknowledge.
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return hub.ErrStalled
	case peer.Err() != nil: // a failed write cancels it as well
		return context.Canceled
	}
	return err
}

// comeBack answers a request that the hub cannot serve now, see the package's promises. If the
// client asked for new events only, the answer carries the log's end as a position, so
// that it misses nothing until it reconnects. A client that asked for another position
// asks for that again.
func (e *Edge) comeBack(w http.ResponseWriter, r *http.Request, s hub.Subscription, o hub.StreamOptions, retry time.Duration, detail string) {
	if !WantsStream(r) {
		w.Header().Set("Retry-After", strconv.Itoa(int((retry+time.Second-1)/time.Second)))
		NewProblem(http.StatusServiceUnavailable, detail).Write(w)
		return
	}
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close") // RFC 9112 §9.6; HTTP/2 would end the whole connection
	}
	out, err := sse.Accept(w, r, nil)
	if err != nil {
		return // answered
	}
	defer func() { _ = out.Close() }()
	var place eventlog.ID
	if bounds, err := e.hub.Bounds(r.Context()); err == nil && s.From == (hub.From{}) {
		place = bounds.Last
	}
	_, _ = out.Write(o.Again(retry, place)) // a client that misses it reconnects anyway

	if r.ProtoMajor > 1 || e.room(r) { // otherwise publishers need the descriptor at once
		letRead(r)
	}
	breakOff(r)
}
