package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/net/http2"

	"github.com/tidings-sse/tidings/auth"
	"github.com/tidings-sse/tidings/edge"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/httpapi"
)

// breaksOff reads a stream to its end, which must be that of a broken response.
func (s *stream) breaksOff(t *testing.T, why string) (rest string) {
	t.Helper()
	b, err := io.ReadAll(s.lines)
	if err == nil || !strings.Contains(err.Error(), "unexpected EOF") && !strings.Contains(err.Error(), "INTERNAL_ERROR") {
		t.Errorf("%s: the stream ends with %q, %v; some clients would stay away", why, b, err)
	}
	return string(b)
}

// A stream whose client should reconnect ends as a broken response, between two blocks,
// because some clients do not reconnect after a regular end. A stream that is over for
// good ends regularly. Both hold parked or not, and over HTTP/1 and HTTP/2.
func TestHowStreamsEnd(t *testing.T) {
	soon := func(c *auth.Claims) { c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(1500 * time.Millisecond)) }
	kick := func(query string) func(*testing.T, *ended) {
		return func(t *testing.T, e *ended) {
			e.do(t, "DELETE", "/subscriptions?"+query, "", bearer(token(t, "", "", admin))...)
		}
	}
	for _, tt := range []struct {
		why   string
		end   func(*testing.T, *ended)
		final bool
	}{
		{"drained", func(t *testing.T, e *ended) {
			if err := e.hub.Drain(t.Context(), 20*time.Millisecond, time.Second); err != nil {
				t.Error(err)
			}
		}, false},
		{"the hub ends", func(_ *testing.T, e *ended) { _ = e.hub.Close() }, false},
		{"its token expires", func(*testing.T, *ended) {}, false},
		{"kicked", kick("subject=ann"), false},
		{"kicked by topic", kick("topic=a"), false},
		{"kept away", kick("subject=ann&for=1m"), true},
		{"kept away by topic", kick("topic=a&for=1m"), true},
		{"its ticket is given back", func(t *testing.T, e *ended) {
			e.do(t, "DELETE", "/tickets?ticket="+url.QueryEscape(e.ticket), "")
		}, true},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			claims := []func(*auth.Claims){subject("ann")}
			if tt.why == "its token expires" {
				claims = append(claims, soon)
			}
			e := newEnded(t, token(t, "", "*", claims...))
			tt.end(t, e)
			for name, st := range e.streams {
				var rest string
				if tt.final {
					b, err := io.ReadAll(st.lines)
					if rest = string(b); err != nil {
						t.Errorf("%s: the stream ends with %q, %v; its client would come back", name, b, err)
					}
				} else {
					rest = st.breaksOff(t, name)
				}
				if rest != "" && !strings.HasSuffix(rest, "\n\n") || tt.why == "drained" && !strings.HasPrefix(rest, "retry: ") {
					t.Errorf("%s: the stream ends with %q", name, rest)
				}
			}
		})
	}
}

// An ended is a hub with one stream over each transport.
type ended struct {
	*server
	ticket  string
	streams map[string]*stream
}

func newEnded(t *testing.T, token string) *ended {
	o := edge.Options{
		Auth:   authority(t, func(o *auth.Options) { o.Revocations = new(auth.Revocations) }),
		Logger: slog.New(slog.DiscardHandler),
	}
	e := &ended{server: newServer(t, eventlog.Retention{}, o), streams: map[string]*stream{}}
	var answer struct{ Ticket string }
	if err := json.NewDecoder(e.do(t, "POST", "/tickets", "", bearer(token)...).Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	e.ticket = answer.Ticket
	o.Unparked = true
	unparked := httptest.NewServer(httpapi.New(edge.New(e.hub, o), httpapi.Options{}))
	t.Cleanup(unparked.Close)
	over := httptest.NewUnstartedServer(httpapi.New(edge.New(e.hub, o), httpapi.Options{}))
	over.EnableHTTP2 = true
	over.StartTLS()
	t.Cleanup(over.Close)
	path := "/events/a?ticket=" + url.QueryEscape(e.ticket)
	for name, server := range map[string]*httptest.Server{"parked": e.Server, "unparked": unparked, "HTTP/2": over} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		t.Cleanup(cancel)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "text/event-stream")
		resp, err := server.Client().Do(req)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp, err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		e.streams[name] = &stream{resp, bufio.NewReader(resp.Body)}
		e.streams[name].place(t)
	}
	return e
}

// A reset does not arrive together with the last bytes, which Chromium would then drop:
// the client has time to read them.
func TestLastWordsComeBeforeTheReset(t *testing.T) {
	for _, tt := range []struct {
		why    string
		before bool // the stream is open when the drain begins
	}{{"a stream that is drained", true}, {"one that comes too late", false}} {
		s := newServer(t, eventlog.Retention{}, edge.Options{})
		drain := func() {
			if err := s.hub.Drain(t.Context(), 0, time.Minute); err != nil {
				t.Error(err)
			}
		}
		if !tt.before {
			drain()
		}
		framer := askOverHTTP2(t, s.Config.Handler, true, ":method", "GET", ":path", "/events/a", "accept", "text/event-stream")
		var said []byte
		for asked, answered, reset := false, false, false; !reset; {
			f, err := framer.ReadFrame()
			if err != nil {
				t.Fatal(tt.why, err)
			}
			switch f := f.(type) {
			case *http2.DataFrame:
				if said = append(said, f.Data()...); tt.before && len(said) == len(f.Data()) {
					go drain()
				} else if bytes.Contains(said, []byte("retry: ")) && !asked {
					asked = true
					if err := framer.WritePing(false, [8]byte{}); err != nil {
						t.Fatal(err)
					}
				}
			case *http2.PingFrame:
				answered = f.IsAck()
			case *http2.RSTStreamFrame:
				if reset = true; !asked || !answered {
					t.Errorf("%s: the reset comes together with %q", tt.why, said)
				}
			}
		}
	}
}
