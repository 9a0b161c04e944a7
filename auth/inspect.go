package auth

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// An Inspection describes a token for people.
type Inspection struct {
	Lines    [][2]string // names and values
	Problems []string    // why a hub would not accept the token
}

// Inspect describes a token, offline. With a key, which is the secret or the public or
// private key, it checks the signature as well. An error means that the text is not a
// token at all.
func Inspect(token, key string, now time.Time) (*Inspection, error) {
	var c Claims
	t, _, err := jwt.NewParser(jwt.WithStrictDecoding()).ParseUnverified(token, &c)
	if err != nil && (t == nil || t.Header == nil) {
		return nil, err
	}
	i := new(Inspection)
	alg, _ := t.Header["alg"].(string)
	i.say("algorithm", alg)
	if kid, ok := t.Header["kid"].(string); ok {
		i.say("key id", kid)
	}
	if err == nil {
		err = checkHeader(token)
	}
	if err != nil { // for example an unknown algorithm
		i.fail(err.Error())
		return i, nil
	}
	i.signature(token, key, alg)
	i.claims(&c, now)
	return i, nil
}

func (i *Inspection) say(what, text string) {
	if text != "" {
		i.Lines = append(i.Lines, [2]string{what, text})
	}
}

func (i *Inspection) fail(problem string) { i.Problems = append(i.Problems, problem) }

func (i *Inspection) signature(token, key, alg string) {
	switch {
	case alg == "none":
		i.fail("it is not signed: no hub accepts that")
		return
	case key == "":
		i.say("signature", "not checked; give --key to check it")
		return
	}
	if err := checkSignature(token, key); err != nil {
		i.say("signature", "not by this key")
		i.fail("the signature is not by this key: " + err.Error())
		return
	}
	i.say("signature", "by this key")
}

// checkSignature accepts any algorithm that suits the key. Which of them a hub accepts
// depends on its configuration.
func checkSignature(token, key string) error {
	keys, err := ParseKeys(key, nil)
	if err != nil {
		_, public, signErr := signingKey(key)
		if signErr != nil {
			return err
		}
		keys = []Key{{verify: public}}
	}
	for j := range keys {
		if _, keys[j].algs, err = kind(keys[j].verify); err != nil {
			return err
		}
	}
	v := verifier{parser: jwt.NewParser(jwt.WithValidMethods(Algorithms), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())}
	_, err = v.parse(token, func(string) ([]Key, error) { return keys, nil })
	return err
}

func (i *Inspection) claims(c *Claims, now time.Time) {
	i.say("subject", c.Subject)
	i.say("id", c.ID)
	i.say("issuer", c.Issuer)
	i.say("audience", strings.Join(c.Audience, ", "))
	if c.NotBefore != nil {
		i.say("not before", when(c.NotBefore.Time, now))
		if c.NotBefore.After(now) {
			i.fail("it is not valid yet")
		}
	}
	switch {
	case c.ExpiresAt == nil:
		i.say("expires", "never: it is valid until its key changes")
	case c.ExpiresAt.Before(now):
		i.say("expired", when(c.ExpiresAt.Time, now))
		i.fail("it has expired")
	default:
		i.say("expires", when(c.ExpiresAt.Time, now))
	}
	access := c.access()
	i.say("publish", selectorsText(access.Publish, "nothing: the claim mercure.publish is empty"))
	i.say("subscribe", selectorsText(access.Subscribe, "public events alone: the claim mercure.subscribe is empty"))
	if c.Tidings != nil && c.Tidings.Admin {
		i.say("admin", "yes: the operator's routes")
	}
	if payload, err := json.Marshal(access.Payload); err == nil && access.Payload != nil {
		i.say("payload", string(payload))
	}
	if _, err := c.Grant(); err != nil {
		i.fail("a hub cannot read " + err.Error())
	}
}

func selectorsText(selectors []string, none string) string {
	if len(selectors) == 0 {
		return none
	}
	return strings.Join(selectors, "  ")
}

func when(t, now time.Time) string {
	d := t.Sub(now).Round(time.Second)
	if d < 0 {
		return fmt.Sprintf("%s, %s ago", t.UTC().Format(time.RFC3339), -d)
	}
	return fmt.Sprintf("%s, in %s", t.UTC().Format(time.RFC3339), d)
}
