package httpapi_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/edge"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/httpapi"
	"github.com/tidings-sse/tidings/hub"
)

// BenchmarkPublish measures the API's work for one request, without the server that
// reads it.
func BenchmarkPublish(b *testing.B) {
	line := func(size int) string { return `{"topic":"news","data":"` + strings.Repeat("x", size) + `"}` }
	for _, tt := range []struct{ name, path, contentType, body string }{
		{"batch of 16 × 1 KB", "/events", ndjson, strings.Repeat(line(1024)+"\n", 16)},
		{"batch of 16 × 100 B", "/events", ndjson, strings.Repeat(line(100)+"\n", 16)},
		{"JSON of 100 B", "/events", jsonCT, line(100)},
		{"text of 100 B", "/events/news", "text/plain", strings.Repeat("x", 100)},
		{"form of 100 B", "/events", form, "topic=news&data=" + strings.Repeat("x", 100)},
	} {
		b.Run(tt.name, func(b *testing.B) {
			log := eventlog.NewMemory(eventlog.Retention{Events: 1000})
			h, err := hub.New(log, hub.Options{})
			if err != nil {
				b.Fatal(err)
			}
			api := httpapi.New(edge.New(h, edge.Options{}), httpapi.Options{})
			defer func() {
				api.Close()
				if err := errors.Join(h.Close(), log.Close()); err != nil {
					b.Error(err)
				}
			}()
			guarded := edge.Access{Loopback: true}.Wrap(api)
			req, err := http.NewRequest("POST", "http://localhost"+tt.path, nil)
			if err != nil {
				b.Fatal(err)
			}
			req.Header.Set("Content-Type", tt.contentType)
			req.ContentLength = int64(len(tt.body))
			body := strings.NewReader(tt.body)
			req.Body = io.NopCloser(body)
			w := &answer{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				body.Reset(tt.body)
				w.Reset()
				guarded.ServeHTTP(w, req)
			}
			if want := max(1, strings.Count(tt.body, "\n")); bytes.Count(w.Bytes(), []byte(`{"id":`)) != want {
				b.Errorf("%d: %s; want %d ids", w.status, w, want)
			}
		})
	}
}

// An answer is a ResponseWriter that a server would provide.
type answer struct {
	bytes.Buffer
	header http.Header
	status int
}

func (a *answer) Header() http.Header             { return a.header }
func (a *answer) WriteHeader(status int)          { a.status = status }
func (a *answer) SetReadDeadline(time.Time) error { return nil }
