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
// that begin with #, say nothing. A key that looks like a public key needs
// [SecretPrefix] before it.
func ParseAPIKeys(text string) (APIKeys, error) {
	if !isText(text) {
		return nil, errors.New("the keys are not text in UTF-8: write one a line")
	}
	keys := APIKeys{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		key, err := apiKey(fields[0], line)
		if err != nil {
			return nil, err
		}
		selectors := fields[1:]
		if len(selectors) == 0 {
			selectors = []string{"*"}
		}
		sel, err := hub.ParseSelectors(selectors...)
		if err != nil {
			return nil, err
		}
		h := sha256.Sum256([]byte(key))
		keys[h] = &Grant{Publish: sel, Subject: "api-key:" + hex.EncodeToString(h[:4])}
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no key in it")
	}
	return keys, nil
}

// apiKey returns the key that a line begins with. The line may be of a file of
// public keys.
func apiKey(field, line string) (string, error) {
	key, explicit := strings.CutPrefix(field, SecretPrefix)
	if !explicit {
		what := looksLike(field)
		switch {
		case pemMark.MatchString(line):
			what = likePEM
		case sshMark.MatchString(line):
			what = likeSSH
		case what == "":
			what = encoded(line, 1)
		}
		if what != "" {
			what, _, _ = strings.Cut(what, ":")
			return "", fmt.Errorf("this looks like %s: an API key is a secret (openssl rand -hex 32); one that only looks so is written secret:KEY", what)
		}
	}
	if len(key) < minSecret {
		return "", fmt.Errorf("the key has %d bytes, and one under %d can be guessed: make one with openssl rand -hex 32", len(key), minSecret)
	}
	return key, nil
}

// grant returns that of a key, or nil. It compares hashes, so that how long it
// takes says nothing about any key.
func (k APIKeys) grant(key string) *Grant { return k[sha256.Sum256([]byte(key))] }
