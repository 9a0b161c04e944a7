package auth

import (
	"crypto/sha256"
	"encoding/json"
	"slices"
	"time"

	"github.com/tidings-sse/tidings/topic"
)

// A Grant is what one request, and the stream that results from it, may do.
type Grant struct {
	Publish   topic.Selectors // must match every topic of a published event
	Subscribe topic.Selectors // must match a topic of each private event that is sent
	Admin     bool            // may use the operator's routes
	Payload   json.RawMessage // shown in subscription events; nil: none
	Subject   string          // the token's subject, or ""
	ID        string          // the token's id, or ""
	Expires   time.Time       // zero: never

	ticket *ticket           // the ticket that the request carried; nil: none
	holder [sha256.Size]byte // hash of the token's subject, or of the token if it names none
}

// everything is the grant of a hub without keys.
var everything = &Grant{Publish: topic.Everything(), Subscribe: topic.Everything(), Admin: true}

// anonymous is the grant of a request without a token.
var anonymous = new(Grant)

// Personal reports whether the grant came from a token, a cookie or a ticket, so that
// other requests may see other events.
func (g *Grant) Personal() bool { return g != everything && g != anonymous }

// size returns roughly how many bytes the texts of the grant take.
func (g *Grant) size() int {
	return len(g.Payload) + len(g.Subject) + len(g.ID) + g.Subscribe.Size() + g.Publish.Size()
}

// MayPublish reports whether the grant covers each of topics.
func (g *Grant) MayPublish(topics []string) bool {
	return !slices.ContainsFunc(topics, func(t string) bool { return !g.Publish.Match([]string{t}) })
}

// MaySee reports whether the grant covers private events of a topic.
func (g *Grant) MaySee(topic string) bool { return g.Subscribe.Match([]string{topic}) }
