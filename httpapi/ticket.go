package httpapi

import (
	"net/http"

	"github.com/tidings-sse/tidings/auth"
	"github.com/tidings-sse/tidings/hub"

	"github.com/tidings-sse/tidings/edge"
)

// tickets issues a ticket for what the caller's token may see, because a native
// EventSource cannot send a header but can put a ticket into its URL. DELETE revokes a
// ticket and ends its streams.
func (a *api) tickets(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPost:
		a.issueTicket(w, r)
	case http.MethodDelete:
		a.returnTicket(w, r)
	default:
		w.Header().Set("Allow", "DELETE, POST")
		edge.NewProblem(http.StatusMethodNotAllowed, "POST gives a ticket, DELETE takes it back.").Write(w)
	}
}

func (a *api) issueTicket(w http.ResponseWriter, r *http.Request) {
	if a.Auth == nil {
		edge.NewProblem(http.StatusNotFound, "This hub asks for no tokens, and has no tickets: subscribe without.").Write(w)
		return
	}
	g, err := a.Auth.Subscriber(r)
	var text string
	if err == nil {
		text, err = a.Auth.Issue(g)
	}
	if err != nil {
		a.Refuse(w, r, err)
		return
	}
	edge.Answer(w, http.StatusCreated, struct {
		Ticket    string `json:"ticket"`
		ExpiresIn int    `json:"expires_in"` // seconds within which it must be used first
	}{text, int(auth.TicketStart.Seconds())})
}

func (a *api) returnTicket(w http.ResponseWriter, r *http.Request) {
	q, err := edge.Query(r)
	if err != nil {
		a.Refuse(w, r, err)
		return
	}
	if a.Auth != nil {
		if number := a.Auth.Return(q.Get("ticket")); number != 0 {
			a.hub.End(hub.StreamFilter{Ticket: number}, hub.ErrRevoked)
		}
	}
	w.WriteHeader(http.StatusNoContent)
}
