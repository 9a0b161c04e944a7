package httpapi

import (
	"net/http"
	"strconv"

	"github.com/tidings-sse/tidings/auth"
)

// operator guards a route that only operators may use.
func (a *api) operator(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, err := a.Auth.Operator(r); err != nil {
			a.Refuse(w, r, err)
			return
		}
		next(w, r)
	}
}

// scope makes a publisher's key distinct from the same key of other token subjects.
func scope(g *auth.Grant, key string) string {
	if g.Subject == "" {
		return key
	}
	return "sub\x00" + strconv.Quote(g.Subject) + "\x00" + key
}
