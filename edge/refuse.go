package edge

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/time/rate"

	"github.com/tidings-sse/tidings/auth"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/sse"
)

// refusalsPerSecond bounds the log lines about refused requests, so that clients that
// try tokens cannot fill the disk. Bursts may have ten times as many.
const refusalsPerSecond = 20

// Refuse answers with the problem for err, see [Edge.Problem]. For a refusal by auth, the
// cause goes to the log, under the request id in the answer's X-Request-Id. A request for
// a stream whose grant is revoked gets 204 instead, after which an EventSource gives up
// (WHATWG HTML §9.2.3).
func (e *Edge) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	denied, ok := err.(*auth.Error)
	if !ok {
		e.Problem(err).Write(w)
		return
	}
	if denied.Revoked && WantsStream(r) {
		w.Header().Set("Cache-Control", "no-store") // otherwise a cache may store the 204 (RFC 9110 §15.3.5)
		sse.Stop(w)
		return
	}
	id := requestID(r)
	h := w.Header()
	h.Set("X-Request-Id", id)
	if c := denied.Challenge(); c != "" {
		h.Set("WWW-Authenticate", c)
	}
	if e.refusals.Allow() {
		e.Logger.Info("refused", "request_id", id, "status", denied.Status, "method", r.Method, "path", Clip(r.URL.Path, 300),
			"remote", r.RemoteAddr, "err", denied.Error())
	}
	NewProblem(denied.Status, denied.Detail).Write(w)
}

// requestID returns the X-Request-Id that a proxy set, if it is safe to log, or else a
// new one.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	if id != "" && len(id) <= 64 && !strings.ContainsFunc(id, func(c rune) bool {
		return c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	}) {
		return id
	}
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, as documented
	return hex.EncodeToString(b[:])
}

func newRefusals() *rate.Limiter { return rate.NewLimiter(refusalsPerSecond, 10*refusalsPerSecond) }

// MayPublish returns an error for [Edge.Refuse], a 403 [auth.Error], if one of topics is
// reserved or the grant does not cover it.
func (e *Edge) MayPublish(g *auth.Grant, topics []string) error {
	for _, t := range topics {
		if e.Reserved != nil && e.Reserved(t) {
			return auth.Forbidden("The topic " + strconv.Quote(Clip(t, 128)) + " is the hub's own; only it publishes there.")
		}
	}
	for _, t := range topics {
		if !g.MayPublish([]string{t}) {
			return auth.Forbidden("The token does not grant publishing to " + strconv.Quote(Clip(t, 128)) + ": its claim mercure.publish needs this topic, a URI Template that matches it, or *.")
		}
	}
	return nil
}

// Banned returns the error for a subscription that an operator has ended, or nil.
func (e *Edge) Banned(g *auth.Grant, s *hub.Subscription) error {
	if e.Auth.Revoked(g) || e.hub.Banned(s.Selectors) {
		return &auth.Error{Status: http.StatusForbidden, Code: "insufficient_scope", Detail: "An operator has ended this subscription; come back later.", Revoked: true}
	}
	return nil
}
