package httpapi

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tidings-sse/tidings/auth"
	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/internal/descriptors"
	"github.com/tidings-sse/tidings/sse"
)

// servedSize is how many bytes a stream of HTTP/1 takes that is not parked, beside what
// its connection took before.
const servedSize = 16 << 10

// stream serves one subscriber until it goes or the hub ends it: here, or where
// idle streams are parked. o says in which form.
func (a *api) stream(w http.ResponseWriter, r *http.Request, g *auth.Grant, s hub.Subscription, o hub.StreamOptions) {
	if g.Personal() { // no-transform keeps proxies from compressing, which buffers
		w.Header().Set("Cache-Control", "private, no-cache, no-transform")
	}
	if _, draining := a.hub.Draining(); draining {
		a.comeBackAfterDrain(w, r, s, o)
		return
	}
	if !a.room(r) {
		if takesDescriptor(r) {
			w.Header().Set("Connection", "close") // over HTTP/2, a GOAWAY
		}
		a.comeBack(w, r, s, o, a.Retry+rand.N(4*a.Retry), "This hub has as many connections as it may have; try again later.")
		return
	}
	if streams, counted := r.Context().Value(connStreams{}).(*atomic.Int32); counted {
		streams.Add(1)
		defer streams.Add(-1)
	}
	o.Chunked = r.ProtoAtLeast(1, 1) && a.parks(w, r)
	if !a.parks(w, r) {
		o.Request = keptHead(r)
	}
	st, err := a.open(w, r, g, s, o)
	if err != nil {
		return // answered
	}
	w.Header().Set("Last-Event-ID", beginning(st, s, o.Mercure))
	if st.Chunked() || a.parks(w, r) { // a parked connection serves no other request (RFC 9112 §9.6)
		w.Header().Set("Connection", "close")
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // the stream sets its own, see TimeWrites
	large := headSize(r) > mostHead
	if large {
		r.Header.Del("Last-Event-ID") // it has been read, and the response would keep it
	}
	// The heartbeat is the hub's own, since it carries the place.
	out, err := sse.Accept(w, r, &sse.AcceptOptions{Heartbeat: -1, WriteTimeout: a.WriteTimeout})
	if err != nil || r.Method == http.MethodHead {
		st.Close()
		return
	}
	defer func() { _ = out.Close() }()
	if a.parks(w, r) && a.lot.Take(w, st) {
		return
	}
	if st.Chunked() { // it was to be parked, and could not be
		if s.From == (hub.From{}) { // nothing since the headers is to be missed
			s.From.LastEventID, _ = st.Start()
		}
		st.Close()
		o.Chunked, o.Request = false, keptHead(r)
		if st, err = a.begin(r, g, s, o); err != nil {
			breakOff(r)
			return
		}
	}
	if r.ProtoMajor == 1 { // a request of HTTP/2 is counted by BoundRequests
		held := a.Budget.Share(budget.Connections)
		held.Add(servedSize)
		defer held.Give(servedSize)
	}
	if large {
		forgetHead(w, r)
	}
	if err := a.serve(st, out); out.Context().Err() == nil && !hub.IsFinal(err) {
		if r.ProtoMajor > 1 {
			letRead(r)
		}
		breakOff(r)
	}
}

// comeBackAfterDrain asks a client to come back when the hub that drains is gone.
func (a *api) comeBackAfterDrain(w http.ResponseWriter, r *http.Request, s hub.Subscription, o hub.StreamOptions) {
	retry, _ := a.hub.Draining()
	a.comeBack(w, r, s, o, retry, "This hub is shutting down; come back when another has taken its place.")
}

// breakOff ends a response so that every client takes it for broken and comes
// back, since some take a regular end for the last word: HTTP/1 without the last
// chunk, HTTP/2 with RST_STREAM, whose code net/http chooses (INTERNAL_ERROR).
// What has been written arrives.
func breakOff(r *http.Request) {
	if r.Method != http.MethodHead { // whose response is whole without a body
		panic(http.ErrAbortHandler)
	}
}

// readingTime is how long a response stays open after its last words.
const readingTime = 500 * time.Millisecond

// letRead gives a client time to read what was written last. Chromium drops what comes
// together with the reset of an HTTP/2 stream, and with it the time after which to come
// back. A proxy makes such a reset of the end of an HTTP/1 response.
func letRead(r *http.Request) {
	if r.Method == http.MethodHead {
		return
	}
	select {
	case <-r.Context().Done():
	case <-time.After(readingTime):
	}
}

// connStreams is the key of how many streams there are on a connection of HTTP/2.
type connStreams struct{}

// CountStreams is for [http.Server].ConnContext. With it, the API distinguishes a stream that
// comes with a connection of HTTP/2, and its descriptor, from one on a connection that has
// others. Without it, the API accepts streams of HTTP/2 at the limit on open files.
func CountStreams(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connStreams{}, new(atomic.Int32))
}

// takesDescriptor reports whether a stream would take a descriptor that its connection
// does not need otherwise.
func takesDescriptor(r *http.Request) bool {
	streams, counted := r.Context().Value(connStreams{}).(*atomic.Int32)
	return r.ProtoMajor == 1 || counted && streams.Load() == 0
}

// room reports whether there may be another stream. Streams leave descriptors, and a
// quarter of the memory of connections, to publishers and operators.
func (a *api) room(r *http.Request) bool {
	if held := a.Budget.Share(budget.Connections); held.Used() > held.Most()/4*3 {
		a.exhausted.Do(func() {
			a.Logger.Warn("connections have most of the memory that they may take, and new streams have to come back later; raise --memory-limit, or let a proxy limit connections",
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
	a.crowded.Do(func() {
		a.Logger.Warn("nearly all descriptors are taken, and new streams are told to come back; raise the limit on open files (ulimit -n, LimitNOFILE= in a systemd unit)",
			"open", u.Open, "limit", u.Limit)
	})
	return false
}

// parks reports whether a request's stream can do without a goroutine.
func (a *api) parks(w http.ResponseWriter, r *http.Request) bool {
	return !a.Unparked && a.lot.Suits(w, r)
}

// open opens a stream, or answers why it cannot.
func (a *api) open(w http.ResponseWriter, r *http.Request, g *auth.Grant, s hub.Subscription, o hub.StreamOptions) (*hub.Stream, error) {
	st, err := a.begin(r, g, s, o)
	var invalid *hub.InvalidError
	var denied *auth.Error
	switch {
	case err == nil:
	case errors.As(err, &denied):
		a.refuse(w, r, err)
	case errors.As(err, &invalid):
		a.problem(err).Write(w)
	case r.Context().Err() != nil: // the client has gone already
	case errors.Is(err, hub.ErrDrained): // the hub began to drain meanwhile
		a.comeBackAfterDrain(w, r, s, o)
	default:
		if isBusy(err) {
			a.logBusy(err)
		} else if a.refusals.Allow() { // whoever fills the hub's budgets must not fill its log
			a.Logger.Error("cannot open a stream", "err", err)
		}
		a.comeBack(w, r, s, o, a.Retry+rand.N(a.Retry), "This hub cannot serve this stream now; try again later.")
	}
	return st, err
}

// isBusy reports whether a subscription was refused for what others ask for.
func isBusy(err error) bool {
	return errors.Is(err, hub.ErrTooManyTemplates) || errors.Is(err, hub.ErrTooManySelectors) || errors.Is(err, hub.ErrBusy) ||
		errors.Is(err, hub.ErrOverBudget)
}

// logBusy logs it at most once a second: any client can bring it about.
func (a *api) logBusy(err error) {
	if a.busy.Allow() {
		a.Logger.Warn("cannot serve a subscription", "err", err)
	}
}

// begin begins a stream, unless an operator has ended it.
func (a *api) begin(r *http.Request, g *auth.Grant, s hub.Subscription, o hub.StreamOptions) (*hub.Stream, error) {
	o.Retry, o.Heartbeat, o.Expires = a.Retry, a.Heartbeat, g.Expires
	o.Peer = hub.Peer{
		Subject: g.Subject, TokenID: g.ID, Ticket: g.Ticket(), Payload: string(g.Payload),
		Remote: r.RemoteAddr, UserAgent: r.UserAgent(),
	}
	o.OnClose = a.Auth.Opened(g)
	st, err := a.hub.Stream(r.Context(), s, o)
	if err != nil {
		if o.OnClose != nil {
			o.OnClose()
		}
		return nil, err
	}
	// Asked once it can be found: who ends it meanwhile does not miss it.
	if err := a.banned(g, &s); err != nil {
		st.End(hub.ErrKicked)
		st.Close()
		return nil, err
	}
	return st, nil
}

// beginning returns the id just before the first event that a stream gives: the
// one that was asked for, if it is known. Before a gap it is "earliest"; so it is
// where everything was asked for on Mercure's path, as its specification demands.
func beginning(st *hub.Stream, s hub.Subscription, mercure bool) string {
	id, gap := st.Start()
	asked := s.From.LastEventID
	switch {
	case gap:
		return hub.Earliest
	case asked != "" && (mercure || asked != hub.Earliest):
		return asked
	}
	return id
}

// serve writes a stream until its peer goes or the hub ends it, closes it, and returns why.
func (a *api) serve(st *hub.Stream, out *sse.Stream) error {
	defer st.Close()
	st.OnOver(out.Hurry)
	err := st.Serve(out.Context(), func(b []byte) error {
		_, err := out.Write(b)
		return err
	})
	st.End(cause(err, out.Context()))
	// The peer's going and the hub's end are no news of this stream, and
	// an end that somebody wanted is no error.
	if !hub.WasEnded(err) && !hub.LostEvent(err) && out.Context().Err() == nil && a.hub.Err() == nil {
		a.Logger.Error("a stream ended", "err", err)
	}
	return err
}

// cause tells why a stream ended, of an error to read or write it and the
// context of its response.
func cause(err error, peer context.Context) error {
	switch {
	// The second is the kernel's own timeout for what a peer leaves unacknowledged.
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return hub.ErrStalled
	case peer.Err() != nil: // a failed write ends it as well
		return context.Canceled
	}
	return err
}
