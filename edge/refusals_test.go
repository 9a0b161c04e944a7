package edge

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/tidings-sse/tidings/auth"
)

// The log of refusals remembers 8 bytes a value, and at most a thousand values, however
// long clients make them.
func TestRefusalsAreRememberedAsHashes(t *testing.T) {
	s := refusals{logger: slog.New(slog.NewTextHandler(io.Discard, nil)), limit: rate.NewLimiter(rate.Inf, 0)}
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	for i := range maxRefusals {
		value := fmt.Sprintf("https://%d.%s.example", i, strings.Repeat("x", 10_000))
		s.log("", "an origin", value, "--cors-origin "+value)
	}
	if grown := heap() - before; grown > 100_000 || len(s.seen) != maxRefusals {
		t.Errorf("%d refusals take %d bytes", len(s.seen), grown)
	}
	for i := range 3 * maxRefusals {
		s.log("", "an origin", fmt.Sprint("again ", i), "")
	}
	if len(s.seen) > maxRefusals {
		t.Errorf("%d refusals are remembered, want at most %d", len(s.seen), maxRefusals)
	}
	runtime.KeepAlive(&s)
}

// Clients that try tokens, hosts or origins cannot fill the log.
func TestRefusalsInTheLogHaveARate(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	e := &Edge{Options: Options{Logger: logger}, refusals: newRefusals()}
	guard := Access{Logger: logger}.Wrap(http.NotFoundHandler())
	for why, refuse := range map[string]func(i int, w http.ResponseWriter, r *http.Request){
		"tokens": func(_ int, w http.ResponseWriter, r *http.Request) { e.Refuse(w, r, auth.Forbidden("no")) },
		"origins": func(i int, w http.ResponseWriter, r *http.Request) {
			r.Header.Set("Origin", fmt.Sprintf("https://%d.example", i))
			guard.ServeHTTP(w, r)
		},
	} {
		log.Reset()
		begun := time.Now()
		for i := range 2000 {
			refuse(i, httptest.NewRecorder(), httptest.NewRequest("GET", "/events/a", nil))
		}
		const burst = 10 * refusalsPerSecond
		if lines, most := strings.Count(log.String(), "\n"), burst+1+int(refusalsPerSecond*time.Since(begun).Seconds()); lines < burst || lines > most {
			t.Errorf("2000 refused %s write %d lines, want %d to %d", why, lines, burst, most)
		}
	}
}
