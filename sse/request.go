package sse

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxSendID is the longest ID in bytes that is sent. Servers and proxies refuse
// header fields of about 8 KiB with a status that would end the stream.
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

// sendable reports whether net/http and common servers accept id as the value of a
// header. If not, the client resumes from an older ID: that repeats events, which is
// better than losing them or never connecting again.
func sendable(id string) bool {
	return len(id) <= maxSendID && !strings.ContainsFunc(id, func(r rune) bool {
		return r < ' ' && r != '\t' || r == 0x7F
	})
}

// mayResend returns why the request may not be sent again, or nil if it may.
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

// idempotent reports whether RFC 9110 §9.2.2 defines method as idempotent. The empty
// method is GET.
func idempotent(method string) bool {
	switch method {
	case "", "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

// A target is where redirects led. The next attempt goes straight there, as in
// Chromium; the standard leaves this open.
type target struct {
	url          *url.URL
	method, host string
	body         bool
	dropped      []string // headers that net/http removed on the way there
}

// credentials are the headers that net/http does not send to other hosts.
var credentials = []string{
	"Authorization", "Cookie", "Cookie2", "Proxy-Authenticate", "Proxy-Authorization", "Www-Authenticate",
}

// follow records where redirects have led a request that was sent with header. Later
// attempts send the target only the headers that net/http let through. If it is of
// another origin, they never send it credentials, even if Prepare adds them.
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

// goBack makes the next attempt use the first URL again. If a target is gone, the
// redirecting server knows best where to go now.
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
