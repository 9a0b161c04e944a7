package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// Mint signs claims with a secret or a private key as PEM. Without an alg, it
// is the one that [ParseKeys] takes the key to be for.
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

func signingKey(text string) (private, public any, err error) {
	if !strings.HasPrefix(text, "-----BEGIN ") {
		return []byte(text), []byte(text), nil
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, nil, errors.New("the PEM cannot be read")
	}
	switch block.Type {
	case "PRIVATE KEY":
		private, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		private, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		private, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, nil, fmt.Errorf("a PEM block %q is no private key, and only that signs", block.Type)
	}
	if err != nil {
		return nil, nil, err
	}
	switch k := private.(type) {
	case *rsa.PrivateKey:
		public = &k.PublicKey
	case *ecdsa.PrivateKey:
		public = &k.PublicKey
	case ed25519.PrivateKey:
		public = k.Public()
	}
	return private, public, nil
}
