package httpapi

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/time/rate"

	"github.com/tidings-sse/tidings/auth"
	"github.com/tidings-sse/tidings/sse"
)

// refusalsPerSecond bounds the log lines about refused requests, so that clients that
// try tokens cannot fill the disk. Bursts may have ten times as many.
const refusalsPerSecond = 20

// operator guards a route that only operators may use.
func (a *api) operator(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, err := a.Auth.Operator(r); err != nil {
			a.refuse(w, r, err)
			return
		}
		next(w, r)
	}
}

// refuse answers with a problem. For a refusal by auth, the cause goes to the log,
// under the request id in the answer's X-Request-Id.
func (a *api) refuse(w http.ResponseWriter, r *http.Request, err error) {
	denied, ok := err.(*auth.Error)
	if !ok {
		a.problem(err).Write(w)
		return
	}
	if denied.Revoked && wantsStream(r) {
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
	if a.refusals.Allow() {
		a.Logger.Info("refused", "request_id", id, "status", denied.Status, "method", r.Method, "path", clip(r.URL.Path, 300),
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

// mayPublish returns a 403 for the first of topics that the grant does not cover, or
// nil.
func mayPublish(g *auth.Grant, topics []string) error {
	for _, t := range topics {
		if !g.MayPublish([]string{t}) {
			return auth.Forbidden("The token does not grant publishing to " + strconv.Quote(clip(t, 128)) + ": its claim mercure.publish needs this topic, a URI Template that matches it, or *.")
		}
	}
	return nil
}

// mayPublish returns a 403 for the first of topics that is reserved, or that the grant
// does not cover, or nil.
func (a *api) mayPublish(g *auth.Grant, topics []string) error {
	for _, t := range topics {
		if a.Reserved != nil && a.Reserved(t) {
			return auth.Forbidden("The topic " + strconv.Quote(clip(t, 128)) + " is the hub's own; only it publishes there.")
		}
	}
	return mayPublish(g, topics)
}

// scope makes a publisher's key distinct from the same key of other token subjects.
func scope(g *auth.Grant, key string) string {
	if g.Subject == "" {
		return key
	}
	return "sub\x00" + strconv.Quote(g.Subject) + "\x00" + key
}
