package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/tidings-sse/tidings/hub"
)

// APIKeys are static keys, each with what it may publish to.
type APIKeys map[[sha256.Size]byte]*Grant

// ParseAPIKeys reads one key a line, each with the selectors that it may
// publish to behind it; without any, that is everything. Empty lines, and those
// that begin with #, say nothing.
func ParseAPIKeys(text string) (APIKeys, error) {
	keys := APIKeys{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if n := len(fields[0]); n < minSecret {
			return nil, fmt.Errorf("the key has %d bytes, and one under %d can be guessed: make one with openssl rand -hex 32", n, minSecret)
		}
		selectors := fields[1:]
		if len(selectors) == 0 {
			selectors = []string{"*"}
		}
		sel, err := hub.ParseSelectors(selectors...)
		if err != nil {
			return nil, err
		}
		h := sha256.Sum256([]byte(fields[0]))
		keys[h] = &Grant{Publish: sel, Subject: "api-key:" + hex.EncodeToString(h[:4])}
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no key in it")
	}
	return keys, nil
}

// grant returns that of a key, or nil. It compares hashes, so that how long it
// takes says nothing about any key.
func (k APIKeys) grant(key string) *Grant { return k[sha256.Sum256([]byte(key))] }
