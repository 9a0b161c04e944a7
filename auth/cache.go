package auth

import (
	"crypto/sha256"
	"sync"
	"time"
)

const (
	// cachedFor is how long a verified token is accepted without checking its signature
	// again, and so how long a removed key may still be honoured.
	cachedFor = time.Minute
	// cachedTokens is how many tokens each of the cache's two halves holds, and
	// cachedBytes how many bytes their grants take there.
	cachedTokens = 4096
	cachedBytes  = 4 << 20
	// cachedSize is roughly how many bytes a token takes in addition to its texts.
	cachedSize = 400
)

// A cache keeps the grants of recently verified tokens by their hashes, because a
// publisher sends the same token with each event, and a page with each reconnection. When
// the new half is full, it replaces the old one.
type cache struct {
	mu       sync.Mutex
	new, old map[[sha256.Size]byte]cached
	bytes    int // of new
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
	if !now.Before(e.until) || !e.grant.Expires.IsZero() && !now.Before(e.grant.Expires) { // check both, because the clock may have stepped
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
	size := cachedSize + g.size()
	if len(c.new) >= cachedTokens || c.bytes+size > cachedBytes {
		c.old, c.new, c.bytes = c.new, nil, 0
	}
	c.bytes += size
	if c.new == nil {
		c.new = map[[sha256.Size]byte]cached{}
	}
	c.new[h] = cached{g, until}
}
