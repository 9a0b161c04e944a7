package sse

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxSendID is the longest ID that is sent. Servers and proxies refuse header
// fields of 8 KiB or so, by a status that would end the stream.
const maxSendID = 4 << 10

// request returns the request of the next attempt.
func (s *Source) request(ctx context.Context) (*http.Request, error) {
	if err := s.mayResend(); err != nil {
		return nil, err
	}
	req := s.req.Clone(ctx)
	if u := req.URL; u == nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%w: %v", errURL, u)
	}
	s.setHeader(req)
	s.target.apply(req)
	if s.client.Prepare != nil {
		if err := s.client.Prepare(req); err != nil {
			return nil, fmt.Errorf("sse: prepare request: %w", err)
		}
	}
	s.target.strip(req.Header)
	if req.Body != nil && req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, fmt.Errorf("sse: request body: %w", err)
		}
		req.Body = body
	}
	return req, nil
}

func (s *Source) setHeader(req *http.Request) {
	if req.Header == nil {
		req.Header = make(http.Header)
	}
	for name, value := range map[string]string{"Accept": MediaType, "Cache-Control": "no-cache"} {
		if req.Header[name] == nil {
			req.Header.Set(name, value)
		}
	}
	req.Header.Del(lastEventID)
	if s.sendID != "" {
		req.Header.Set(lastEventID, s.sendID)
	}
}

// sendable tells whether net/http, and the servers there are, take id as a
// header's value. Resuming from an older one repeats events, which is better
// than to lose them or never to connect again.
func sendable(id string) bool {
	return len(id) <= maxSendID && !strings.ContainsFunc(id, func(r rune) bool {
		return r < ' ' && r != '\t' || r == 0x7F
	})
}

// mayResend returns why the request may not be sent once more, if so.
func (s *Source) mayResend() error {
	switch {
	case !s.sent:
		return nil
	case s.target != nil && !s.target.body && idempotent(s.target.method):
		return nil
	case !s.client.Resend && !idempotent(s.req.Method):
		return errMethod
	case s.req.Body != nil && s.req.Body != http.NoBody && s.req.GetBody == nil:
		return errNoGetBody
	}
	return nil
}

// idempotent lists RFC 9110 §9.2.2; the empty method is GET.
func idempotent(method string) bool {
	switch method {
	case "", "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

// A target is where redirects led to. Like Chromium, and as the standard
// leaves open, the next attempt goes straight there.
type target struct {
	url          *url.URL
	method, host string
	body         bool
	dropped      []string // headers that the way there took off
}

// credentials are what net/http keeps from other hosts.
var credentials = []string{
	"Authorization", "Cookie", "Cookie2", "Proxy-Authenticate", "Proxy-Authorization", "Www-Authenticate",
}

// follow takes note of where a request sent with header has come out. Of the
// headers, only what net/http has let through goes there the next time; of
// credentials that Prepare may add by then, none go to another origin.
func (s *Source) follow(header http.Header, last *http.Request) {
	if last == nil || last.Response == nil { // not redirected
		return
	}
	t := &target{url: last.URL, method: last.Method, host: last.Host, body: last.Body != nil}
	if s.target != nil {
		t.dropped = s.target.dropped
	}
	for name := range header {
		if last.Header[name] == nil {
			t.dropped = append(t.dropped, name)
		}
	}
	if last.URL.Scheme != s.req.URL.Scheme || last.URL.Host != s.req.URL.Host {
		for _, name := range credentials {
			if header[name] == nil || !slices.Equal(header[name], last.Header[name]) {
				t.dropped = append(t.dropped, name)
			}
		}
	}
	s.target = t
}

// goBack makes the next attempt ask the first URL again, as a redirector knows
// best where to go when one of its targets is gone.
func (s *Source) goBack() {
	if t := s.target; t != nil {
		s.target = nil
		if s.mayResend() != nil {
			s.target = t
		}
	}
}

func (t *target) apply(req *http.Request) {
	if t == nil {
		return
	}
	u := *t.url
	req.URL, req.Method, req.Host = &u, t.method, t.host
	if !t.body {
		req.Body, req.GetBody, req.ContentLength = nil, nil, 0
	}
}

func (t *target) strip(header http.Header) {
	if t == nil {
		return
	}
	for _, name := range t.dropped {
		header.Del(name)
	}
}
