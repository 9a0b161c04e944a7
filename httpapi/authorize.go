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

// refusalsPerSecond bounds what those who are refused write to the log: whoever
// tries tokens must not fill the disk.
const refusalsPerSecond = 20

// operator guards a route of the operator's.
func (a *api) operator(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, err := a.Auth.Operator(r); err != nil {
			a.refuse(w, r, err)
			return
		}
		next(w, r)
	}
}

// refuse answers with a problem. The cause of a refusal goes to the log, under
// the request id that the answer has.
func (a *api) refuse(w http.ResponseWriter, r *http.Request, err error) {
	denied, ok := err.(*auth.Error)
	if !ok {
		a.problem(err).Write(w)
		return
	}
	if denied.Revoked && wantsStream(r) {
		w.Header().Set("Cache-Control", "no-store") // a 204 may be stored unless this is said (RFC 9110 §15.3.5)
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

// requestID is the request's own, which a proxy gave it, if it is fit for a
// log, else a new one.
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

// mayPublish returns the problem of a publisher whose grant lacks one of topics.
func mayPublish(g *auth.Grant, topics []string) error {
	for _, t := range topics {
		if !g.MayPublish([]string{t}) {
			return auth.Forbidden("The token does not grant publishing to " + strconv.Quote(clip(t, 128)) + ": its claim mercure.publish needs this topic, a URI Template that matches it, or *.")
		}
	}
	return nil
}

// mayPublish returns the problem of a publisher who may not publish to one of
// topics: it is reserved, or the grant lacks it.
func (a *api) mayPublish(g *auth.Grant, topics []string) error {
	for _, t := range topics {
		if a.Reserved != nil && a.Reserved(t) {
			return auth.Forbidden("The topic " + strconv.Quote(clip(t, 128)) + " is the hub's own; only it publishes there.")
		}
	}
	return mayPublish(g, topics)
}

// scope sets a publisher's ids apart from those of others: what one token's
// subject has published is not what another's has.
func scope(g *auth.Grant, key string) string {
	if g.Subject == "" {
		return key
	}
	return "sub\x00" + strconv.Quote(g.Subject) + "\x00" + key
}
