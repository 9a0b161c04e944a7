package auth

import (
	"crypto/sha256"
	"encoding/json"
	"slices"
	"time"

	"github.com/tidings-sse/tidings/hub"
)

// A Grant is what one request, and the stream that comes of it, may do.
type Grant struct {
	Publish   hub.Selectors // every topic of an event has to be among them
	Subscribe hub.Selectors // private events are seen that have a topic among them
	Admin     bool          // the operator's routes
	Payload   json.RawMessage
	Subject   string    // whose token it is; "" if it does not say
	ID        string    // the token's; likewise
	Expires   time.Time // zero: never

	ticket *ticket           // by which it came; nil: none
	holder [sha256.Size]byte // hash of the token's subject, or of the token if it names none
}

// everything is the grant of a hub without keys.
var everything = &Grant{Publish: hub.Everything(), Subscribe: hub.Everything(), Admin: true}

// anonymous is the grant of a reader without a token.
var anonymous = new(Grant)

// Personal reports whether the grant came by a token, a cookie or a ticket, so that
// another reader may see something else.
func (g *Grant) Personal() bool { return g != everything && g != anonymous }

// MayPublish reports whether the grant covers each of topics.
func (g *Grant) MayPublish(topics []string) bool {
	return !slices.ContainsFunc(topics, func(t string) bool { return !g.Publish.Match([]string{t}) })
}

// MaySee reports whether private events of a topic may be seen.
func (g *Grant) MaySee(topic string) bool { return g.Subscribe.Match([]string{topic}) }
