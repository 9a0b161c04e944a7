package auth

import (
	"crypto/sha256"
	"sync"
	"time"
)

const (
	// cachedFor is how long a token that was verified is not verified again:
	// for so long, too, a key counts that was taken away.
	cachedFor = time.Minute
	// cachedTokens is how many there are in one of the cache's two halves.
	cachedTokens = 4096
)

// A cache keeps the grants of tokens that were verified lately: a publisher
// sends the same one with each event, and a page with each reconnection. They
// are known by their hashes. When one half is full, the other is forgotten.
type cache struct {
	mu       sync.Mutex
	new, old map[[sha256.Size]byte]cached
}

type cached struct {
	grant *Grant
	until time.Time
}

func (c *cache) get(h [sha256.Size]byte) *Grant {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.new[h]
	if !ok {
		e = c.old[h]
	}
	now := time.Now()
	if !now.Before(e.until) || !e.grant.Expires.IsZero() && !now.Before(e.grant.Expires) { // the clock may have stepped
		return nil
	}
	return e.grant
}

func (c *cache) put(h [sha256.Size]byte, g *Grant) {
	until := time.Now().Add(cachedFor)
	if !g.Expires.IsZero() && g.Expires.Before(until) {
		until = g.Expires
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.new) >= cachedTokens {
		c.old, c.new = c.new, nil
	}
	if c.new == nil {
		c.new = map[[sha256.Size]byte]cached{}
	}
	c.new[h] = cached{g, until}
}
