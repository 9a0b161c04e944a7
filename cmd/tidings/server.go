package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/tidings-sse/tidings/edge"
)

// hubFlags are the address of a hub and the token for it.
type hubFlags struct {
	Server string `placeholder:"URL" help:"The hub's address; by default http://localhost:3000."`
	Token  string `placeholder:"TOKEN" help:"Bearer token to send."`
}

// events returns the address of the hub's events with a query.
func (f *hubFlags) events(q url.Values) (string, error) {
	u, err := url.Parse(cmp.Or(f.Server, "http://localhost:3000"))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", usageError{fmt.Errorf("--server %q is not an address: write it as http://localhost:3000", f.Server)}
	}
	u = u.JoinPath("events")
	u.RawQuery = q.Encode()
	return u.String(), nil
}

func (f *hubFlags) authorize(h http.Header) {
	if f.Token != "" {
		h.Set("Authorization", "Bearer "+f.Token)
	}
}

// maxSaid is how many bytes of a response an error quotes.
const maxSaid = 4 << 10

// problemText returns the status of a failed response and an explanation from its body: a
// problem's detail (RFC 9457), or else the beginning of the text.
func problemText(status string, body []byte) string {
	said := strings.TrimSpace(string(body[:min(len(body), maxSaid)]))
	var p edge.Problem
	if json.Unmarshal(body, &p) == nil && p.Detail != "" {
		said = p.Detail
	}
	if said == "" {
		return status
	}
	return status + ": " + printable(said)
}

// printable replaces characters that would control a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// answer returns a response's body, or an error with its problem.
func answer(resp *http.Response) ([]byte, error) {
	defer func() { _ = resp.Body.Close() }() // the body has been read, or does not matter
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("the hub answered %s", problemText(resp.Status, body))
	}
	return body, err
}
