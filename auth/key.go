package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/MicahParks/jwkset"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	// minSecret is the shortest HMAC key in bytes: a key shorter than the hash can be
	// guessed (RFC 7518 §3.2).
	minSecret = 32
	// minRSABits is the shortest RSA key (RFC 7518 §3.3).
	minRSABits = 2048
)

// Algorithms are the algorithms that keys can be configured for, by family.
var Algorithms = []string{"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// A Key verifies tokens that use one of its algorithms.
type Key struct {
	id     string // matches a token's kid; "" matches any
	verify any    // []byte, *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
	algs   []string
}

// Secret reports whether the key is a secret for HMAC, and not a public key.
func (k Key) Secret() bool {
	_, secret := k.verify.([]byte)
	return secret
}

// ParseKeys parses public keys or certificates as PEM, a JWK or JWK Set (RFC 7517), or a
// secret for HMAC. Text is a secret if it has [SecretPrefix] or looks like no other kind
// of key. Private keys are an error. Without algs, each key is for the usual algorithm of
// its kind: HS256, RS256, ES256/384/512 by its curve, or EdDSA.
func ParseKeys(text string, algs []string) ([]Key, error) {
	m, err := readMaterial(text)
	if err != nil {
		return nil, err
	}
	keys, err := publicKeys(m.blocks)
	if err != nil {
		return nil, err
	}
	for _, jwk := range m.jwks {
		k, err := keyOf(jwk)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	if m.blocks == nil && m.jwks == nil {
		keys = []Key{{verify: m.secret}}
	}
	for i := range keys {
		if keys[i].algs, err = algorithmsOf(&keys[i], algs); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

var errPrivate = errors.New("this is a private key, which only the signer of tokens needs: give the hub the public key (openssl pkey -pubout)")

func publicKeys(blocks []*pem.Block) (keys []Key, err error) {
	if slices.ContainsFunc(blocks, isPrivate) { // even if there are public keys too
		return nil, errPrivate
	}
	for _, block := range blocks {
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
			return nil, fmt.Errorf("a PEM block %q is not a public key: give a PUBLIC KEY or a CERTIFICATE", block.Type)
		}
		if err != nil {
			return nil, fmt.Errorf("the public key cannot be read: %w", err)
		}
		keys = append(keys, Key{verify: public})
	}
	return keys, nil
}

func isPrivate(block *pem.Block) bool { return strings.Contains(block.Type, "PRIVATE KEY") }

// readJWKs parses a JWK Set, or one JWK. Member names are case-sensitive and must be
// unique (RFC 7517 §4).
func readJWKs(text []byte) ([]jwkset.JWK, error) {
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("this looks like a JWK or a JWK Set, but cannot be read: %w%s", err, orSecret)
	}
	if set.Keys == nil {
		set.Keys = []jsontext.Value{text}
	}
	if len(set.Keys) == 0 {
		return nil, errors.New("the JWK Set has no key")
	}
	jwks := make([]jwkset.JWK, len(set.Keys))
	for i, raw := range set.Keys {
		var err error
		if jwks[i], err = readJWK(raw); err != nil {
			return nil, fmt.Errorf("a JWK cannot be read: %w", err)
		}
	}
	return jwks, nil
}

func readJWK(raw jsontext.Value) (jwkset.JWK, error) {
	var members jwkset.JWKMarshal
	if err := json.Unmarshal(raw, &members); err != nil {
		return jwkset.JWK{}, err
	}
	return jwkset.NewJWKFromMarshal(members, jwkset.JWKMarshalOptions{Private: true}, jwkset.JWKValidateOptions{})
}

// keyOf returns the key in a JWK. A private key is an error.
func keyOf(jwk jwkset.JWK) (Key, error) {
	k := Key{id: jwk.Marshal().KID, verify: jwk.Key()}
	if _, private := k.verify.(crypto.Signer); private {
		return k, errPrivate
	}
	if alg := jwk.Marshal().ALG; alg != "" {
		k.algs = []string{alg.String()}
	}
	return k, nil
}

// algorithmsOf returns the algorithms of a key: those of allowed that suit it, or else the
// usual one of its kind. If the key has an alg of its own, only that one counts.
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
		return nil, fmt.Errorf("the key is not for %s: choose one or more of %s", strings.Join(append(slices.Clone(allowed), k.algs...), ", "), strings.Join(family, ", "))
	}
	return algs, nil
}

// kind returns the usual algorithm of a key and all that suit it. It is an error if the
// key is too weak or of an unsupported type.
func kind(key any) (usual string, family []string, err error) {
	switch k := key.(type) {
	case []byte:
		if len(k) < minSecret {
			return "", nil, fmt.Errorf("the secret has %d bytes, but a secret under %d can be guessed: make one with openssl rand -base64 48", len(k), minSecret)
		}
		return "HS256", Algorithms[0:3], nil
	case *rsa.PublicKey:
		if k.N.BitLen() < minRSABits {
			return "", nil, fmt.Errorf("the RSA key has %d bits, but a key under %d can be broken", k.N.BitLen(), minRSABits)
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
