package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/tidings-sse/tidings/topic"
)

// APIKeys maps the SHA-256 hash of each static key to its grant.
type APIKeys map[[sha256.Size]byte]*Grant

// ParseAPIKeys parses one key per line, followed by the selectors that it may publish
// to; without selectors it may publish everything. Empty lines and lines that begin
// with # are ignored. A key that looks like a public key needs [SecretPrefix] before
// it. Keys shorter than 32 bytes are an error.
func ParseAPIKeys(text string) (APIKeys, error) {
	if !isText(text) {
		return nil, errors.New("the keys are not text in UTF-8: write one per line")
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
		sel, err := topic.Parse(selectors...)
		if err != nil {
			return nil, err
		}
		h := sha256.Sum256([]byte(key))
		keys[h] = &Grant{Publish: sel, Subject: "api-key:" + hex.EncodeToString(h[:4])}
	}
	if len(keys) == 0 {
		return nil, errors.New("it contains no key")
	}
	return keys, nil
}

// apiKey returns the key at the start of a line. The line may come from a file of public
// keys by mistake.
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
			return "", fmt.Errorf("this looks like %s: an API key is a secret (openssl rand -hex 32); write a key that only looks like this as secret:KEY", what)
		}
	}
	if len(key) < minSecret {
		return "", fmt.Errorf("the key has %d bytes, but a key under %d can be guessed: make one with openssl rand -hex 32", len(key), minSecret)
	}
	return key, nil
}

// grant returns the grant of a key, or nil. It compares hashes, so that its running time
// reveals nothing about any key.
func (k APIKeys) grant(key string) *Grant { return k[sha256.Sum256([]byte(key))] }
