package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tidings-sse/tidings/auth"
)

type tokenCmd struct {
	Publish   []string      `sep:"none" placeholder:"SELECTOR" help:"Topics that the token may publish to: one, a URI Template, or *. May be repeated."`
	Subscribe []string      `sep:"none" placeholder:"SELECTOR" help:"Topics whose private events the token may see. May be repeated."`
	Admin     bool          `help:"Allow the operator's routes."`
	Subject   string        `placeholder:"NAME" help:"The token's subject (sub), by which it can be revoked."`
	ID        string        `name:"id" placeholder:"ID" help:"The token's own id (jti), by which it can be revoked."`
	Payload   string        `placeholder:"JSON" help:"What subscription events show about the subscriber."`
	Issuer    string        `placeholder:"ISS" help:"The token's issuer (iss)."`
	Audience  []string      `sep:"none" placeholder:"AUD" help:"An audience of the token (aud). May be repeated."`
	Expires   time.Duration `default:"24h" help:"How long the token is valid; 0 means for ever."`
	Key       string        `placeholder:"KEY|@FILE" help:"The secret, or the private key as PEM or JWK, to sign with; by default $TIDINGS_JWT_KEY. With --inspect, the key to check with."`
	Alg       string        `placeholder:"ALG" help:"Algorithm to sign with; by default the key's usual one."`
	Inspect   string        `placeholder:"TOKEN" help:"Explain a token instead of making one; - reads it from standard input."`
}

// Run prints a new token, or explains one.
func (c *tokenCmd) Run(s streams) error {
	key, _, err := auth.ReadKey(cmp.Or(c.Key, os.Getenv("TIDINGS_JWT_KEY")))
	if err != nil {
		return fmt.Errorf("--key: %w", err)
	}
	if c.Inspect != "" {
		return c.inspect(s, key)
	}
	if key == "" {
		return usageError{errors.New("give --key: the secret that the hub has as --jwt-key, or the private key that matches the hub's public key")}
	}
	claims, err := c.claims()
	if err != nil {
		return usageError{err}
	}
	token, err := auth.Mint(claims, key, c.Alg)
	if err != nil {
		return fmt.Errorf("--key: %w", err)
	}
	_, err = fmt.Fprintln(s.out, token)
	return err
}

func (c *tokenCmd) claims() (*auth.Claims, error) {
	if c.Expires < 0 {
		return nil, errors.New("--expires must not be negative")
	}
	if c.Payload != "" && !json.Valid([]byte(c.Payload)) {
		return nil, fmt.Errorf("--payload %s is not JSON", c.Payload)
	}
	now := time.Now()
	claims := &auth.Claims{
		RegisteredClaims: jwt.RegisteredClaims{Subject: c.Subject, ID: c.ID, Issuer: c.Issuer, Audience: c.Audience, IssuedAt: jwt.NewNumericDate(now)},
		Mercure:          &auth.Access{Publish: c.Publish, Subscribe: c.Subscribe, Payload: json.RawMessage(c.Payload)},
	}
	if c.Expires > 0 {
		claims.ExpiresAt = jwt.NewNumericDate(now.Add(c.Expires))
	}
	if c.Admin {
		claims.Tidings = &auth.Tidings{Admin: true}
	}
	_, err := claims.Grant() // reports selectors that the hub would refuse
	return claims, err
}

// inspect explains a token. It returns an error if a hub would not accept the token.
func (c *tokenCmd) inspect(s streams, key string) error {
	text := c.Inspect
	if text == "-" {
		b, err := io.ReadAll(s.in)
		if err != nil {
			return err
		}
		text = string(b)
	}
	text = strings.TrimSpace(text)
	seen, err := auth.Inspect(text, key, time.Now())
	if err != nil {
		return fmt.Errorf("this is not a token: %w", err)
	}
	for _, line := range seen.Lines {
		fmt.Fprintf(s.out, "%-10s %s\n", line[0], line[1])
	}
	if len(seen.Problems) > 0 {
		return errors.New(strings.Join(seen.Problems, "; "))
	}
	return nil
}
