package httpapi

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
)

// TestTopicsPages checks that the pages list all topics once, sorted by name, and that
// the memory of a page is bounded, however many and long the topics are.
func TestTopicsPages(t *testing.T) {
	for _, name := range []string{"", strings.Repeat("x", 4000)} {
		share := budget.New(0).Share(budget.Lists)
		var got, want []string
		for i := range 3000 {
			want = append(want, fmt.Sprint(name, (i*7919)%3000))
		}
		q := url.Values{}
		for more := true; more; {
			l, err := parseTopicsPage(q)
			if err != nil {
				t.Fatal(err)
			}
			l.share = share
			for _, topic := range want {
				if err := l.add(eventlog.Topic{Name: topic}); err != nil {
					t.Fatal(err)
				}
				if share.Used() > 2*maxTopicsBytes+4096+topicBytes {
					t.Fatalf("a page holds %d bytes", share.Used())
				}
			}
			l.cut()
			for _, topic := range l.topics {
				got = append(got, topic.Name)
			}
			next := l.next(q)
			more = next != ""
			if q, err = url.ParseQuery(next); err != nil {
				t.Fatal(err)
			}
			share.Give(l.bytes)
		}
		if slices.Sort(want); !slices.Equal(got, want) {
			t.Errorf("%d topics in pages, want %d", len(got), len(want))
		}
		if share.Used() != 0 {
			t.Errorf("%d bytes are counted at the end", share.Used())
		}
	}
}
