package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/MicahParks/jwkset"
)

const (
	// minSecret is the shortest HMAC key: shorter than the hash, it is what an
	// attacker guesses (RFC 7518 §3.2).
	minSecret = 32
	// minRSABits likewise (RFC 7518 §3.3).
	minRSABits = 2048
)

// Algorithms are all that keys can be configured for, by family.
var Algorithms = []string{"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// A Key verifies tokens, with the algorithms that it is for.
type Key struct {
	id     string // matches a token's kid; "" matches any
	verify any    // []byte, *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
	algs   []string
}

// ReadKey returns what text says, or the contents of FILE if it is @FILE,
// without the line end that editors add.
func ReadKey(text string) (string, error) {
	path, ok := strings.CutPrefix(text, "@")
	if !ok {
		return text, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if len(b) == 0 {
		return "", fmt.Errorf("%s is empty", path)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// ParseKeys reads a secret for HMAC, public keys or certificates as PEM, or a
// JWK or JWK Set. Without algs each key is for the usual algorithm of its
// kind: HS256, RS256, ES256/384/512 by its curve, or EdDSA.
func ParseKeys(text string, algs []string) ([]Key, error) {
	trimmed := strings.TrimSpace(text)
	var keys []Key
	var err error
	switch {
	case strings.HasPrefix(trimmed, "-----BEGIN "):
		keys, err = parsePEM([]byte(trimmed))
	case strings.HasPrefix(trimmed, "{") && json.Valid([]byte(trimmed)):
		keys, err = parseJWKs([]byte(trimmed))
	default:
		keys = []Key{{verify: []byte(text)}}
	}
	if err != nil {
		return nil, err
	}
	for i := range keys {
		if keys[i].algs, err = algorithmsOf(&keys[i], algs); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

func parsePEM(rest []byte) (keys []Key, err error) {
	for len(rest) > 0 {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		var public any
		switch block.Type {
		case "PUBLIC KEY":
			public, err = x509.ParsePKIXPublicKey(block.Bytes)
		case "RSA PUBLIC KEY":
			public, err = x509.ParsePKCS1PublicKey(block.Bytes)
		case "CERTIFICATE":
			var cert *x509.Certificate
			if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
				public = cert.PublicKey
			}
		default:
			if strings.HasSuffix(block.Type, "PRIVATE KEY") {
				return nil, errors.New("this is a private key, which is for whoever signs tokens: give the hub the public one (openssl pkey -pubout)")
			}
			return nil, fmt.Errorf("a PEM block %q is no public key", block.Type)
		}
		if err != nil {
			return nil, fmt.Errorf("the public key cannot be read: %w", err)
		}
		keys = append(keys, Key{verify: public})
	}
	if len(keys) == 0 {
		return nil, errors.New("the PEM has no public key")
	}
	return keys, nil
}

func parseJWKs(text []byte) ([]Key, error) {
	set := struct{ Keys []json.RawMessage }{}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("the JWK Set cannot be read: %w", err)
	}
	if set.Keys == nil {
		set.Keys = []json.RawMessage{text}
	}
	var keys []Key
	for _, raw := range set.Keys {
		jwk, err := jwkset.NewJWKFromRawJSON(raw, jwkset.JWKMarshalOptions{Private: true}, jwkset.JWKValidateOptions{})
		if err != nil {
			return nil, fmt.Errorf("a JWK cannot be read: %w", err)
		}
		keys = append(keys, keyOf(jwk))
	}
	if len(keys) == 0 {
		return nil, errors.New("the JWK Set has no key")
	}
	return keys, nil
}

func keyOf(jwk jwkset.JWK) Key {
	k := Key{id: jwk.Marshal().KID, verify: jwk.Key()}
	if private, ok := k.verify.(crypto.Signer); ok {
		k.verify = private.Public()
	}
	if alg := jwk.Marshal().ALG; alg != "" {
		k.algs = []string{alg.String()}
	}
	return k
}

// algorithmsOf returns what a key is for: those of allowed that suit it, or
// the usual one of its kind; and no other than its own alg, if it has one.
func algorithmsOf(k *Key, allowed []string) ([]string, error) {
	usual, family, err := kind(k.verify)
	if err != nil {
		return nil, err
	}
	algs := []string{usual}
	if len(allowed) > 0 {
		algs = slices.DeleteFunc(slices.Clone(allowed), func(alg string) bool { return !slices.Contains(family, alg) })
	} else if len(k.algs) > 0 {
		algs = family
	}
	if len(k.algs) > 0 {
		algs = slices.DeleteFunc(slices.Clone(algs), func(alg string) bool { return !slices.Contains(k.algs, alg) })
	}
	if len(algs) == 0 {
		return nil, fmt.Errorf("the key is not for %s: say one or more of %s", strings.Join(append(slices.Clone(allowed), k.algs...), ", "), strings.Join(family, ", "))
	}
	return algs, nil
}

// kind returns the usual algorithm of a key and all that suit it, or what is
// wrong with it.
func kind(key any) (usual string, family []string, err error) {
	switch k := key.(type) {
	case []byte:
		if len(k) < minSecret {
			return "", nil, fmt.Errorf("the secret has %d bytes, and one under %d can be guessed: make one with openssl rand -base64 48", len(k), minSecret)
		}
		return "HS256", Algorithms[0:3], nil
	case *rsa.PublicKey:
		if k.N.BitLen() < minRSABits {
			return "", nil, fmt.Errorf("the RSA key has %d bits, and one under %d can be broken", k.N.BitLen(), minRSABits)
		}
		return "RS256", Algorithms[3:9], nil
	case *ecdsa.PublicKey:
		alg := map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}[k.Curve.Params().BitSize]
		if alg == "" {
			return "", nil, fmt.Errorf("the curve %s is not one of P-256, P-384 and P-521", k.Curve.Params().Name)
		}
		return alg, []string{alg}, nil
	case ed25519.PublicKey:
		return "EdDSA", Algorithms[12:], nil
	}
	return "", nil, fmt.Errorf("a key of type %T verifies no tokens", key)
}
