package httpapi_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/tidings-sse/tidings/edge"
	"github.com/tidings-sse/tidings/eventlog"
)

// A line end in any field cannot change another reader's stream: it is refused, or
// becomes part of the data.
func TestLineEndsInEveryField(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{Auth: authority(t, nil)})
	reader := bearer(token(t, "", "*"))
	st := s.subscribe(t, "/events?topic=*", reader...)
	st.place(t)
	for _, end := range []string{"\n", "\r", "\r\n", "\n\n", "\r\r", "\x00", "\u2028", "\u0085"} {
		forged := "x" + end + "id: forged" + end + "event: forged" + end + "data: forged" + end + end
		for _, field := range []string{"topic", "data", "type", "id", "retry", "private", "forged", "Idempotency-Key"} {
			q := url.Values{"topic": {"news"}, "data": {"x"}}
			q.Set(field, forged)
			status := s.do(t, "POST", "/events?"+q.Encode(), "", bearer(token(t, "*", "", subject(forged)))...).StatusCode
			// Unicode's other line ends mean nothing to a stream, and a type may have
			// them.
			refused := field != "topic" && field != "data" && !(field == "type" && strings.Contains("\u2028\u0085", end))
			if (status == 400) != refused || status != 400 && status != 201 {
				t.Errorf("%s with %q: %d", field, end, status)
			}
		}
	}
	s.do(t, "POST", "/events/news?data=end", "", bearer(token(t, "*", ""))...)
	for {
		block := st.block(t)
		for line := range strings.SplitSeq(block, "\n") {
			name, value, _ := strings.Cut(line, ": ")
			if strings.HasPrefix(line, "forged") || name == "id" && value == "forged" || name == "event" && value == "forged" || line == "data: forged" {
				t.Fatalf("somebody else's line in %q", block)
			}
		}
		if strings.HasSuffix(block, "data: end") {
			return
		}
	}
}
