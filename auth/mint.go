package auth

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// Mint signs claims with a secret, or a private key as PEM or JWK; see [ParseKeys] for
// how they are distinguished. Without an alg, it uses the usual one for the key.
func Mint(c *Claims, key, alg string) (string, error) {
	private, public, err := signingKey(key)
	if err != nil {
		return "", err
	}
	usual, family, err := kind(public)
	if err != nil {
		return "", err
	}
	if alg == "" {
		alg = usual
	}
	if !slices.Contains(family, alg) {
		return "", fmt.Errorf("the key is not for %s, but for %s", alg, strings.Join(family, ", "))
	}
	return jwt.NewWithClaims(jwt.GetSigningMethod(alg), c).SignedString(private)
}

// signingKey returns the key that signs and the one that verifies. For a secret they are
// the same.
func signingKey(text string) (private, public any, err error) {
	m, err := readMaterial(text)
	switch {
	case err != nil:
		return nil, nil, err
	case m.blocks != nil:
		private, err = privateKey(m.blocks)
	case m.jwks != nil:
		private = m.jwks[0].Key()
	default:
		private = m.secret
	}
	if err != nil {
		return nil, nil, err
	}
	switch k := private.(type) {
	case []byte:
		return k, k, nil
	case crypto.Signer:
		return k, k.Public(), nil
	}
	return nil, nil, errors.New("the JWK is not a private key, and only a private key can sign")
}

// privateKey returns the first private key. The parameters of a curve may precede it.
func privateKey(blocks []*pem.Block) (any, error) {
	i := slices.IndexFunc(blocks, isPrivate)
	if i < 0 {
		return nil, fmt.Errorf("a PEM block %q is not a private key, and only a private key can sign", blocks[0].Type)
	}
	switch block := blocks[i]; block.Type {
	case "PRIVATE KEY":
		return x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("a PEM block %q cannot be read: give a PRIVATE KEY (openssl pkey -in FILE)", block.Type)
	}
}
