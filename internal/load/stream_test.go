package load

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/tidings-sse/tidings/internal/rig"
)

const head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"

// newTestFeed returns a number of streams of one feed, in the state open.
func newTestFeed(streams, publishers int) ([]stream, *tally) {
	f := newFeed("t", publishers)
	f.streams = streams
	ss := make([]stream, streams)
	for i := range ss {
		ss[i] = stream{feed: f, state: waiting}
	}
	return ss, newTally(new(window))
}

func wire(e rig.Event) string {
	return "id: x\ndata: " + string(appendData(nil, e, 100)) + "\n\n"
}

func chunk(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }

// TestSplitAnywhere reads the same response whole and cut at every byte, by the first and
// the second stream of a feed.
func TestSplitAnywhere(t *testing.T) {
	events := []string{wire(rig.Event{Number: 0, Publisher: 0, At: 5}), wire(rig.Event{Number: 1, Publisher: 1, At: 6}), wire(rig.Event{Number: 2, Publisher: 0, At: 7})}
	all := strings.Join(events, "")
	place := "retry: 3000\nevent: position\nid: p\ndata: {}\n\n"
	for name, response := range map[string]string{
		"an event a chunk":     head + "Transfer-Encoding: chunked\r\n\r\n" + chunk(place) + chunk(events[0]) + chunk(":\n\n") + chunk(events[1]) + chunk(events[2]),
		"events share a chunk": head + "Transfer-Encoding: chunked\r\n\r\n" + chunk(place+all),
		"events across chunks": head + "Transfer-Encoding: chunked\r\n\r\n" + chunk(place+all[:50]) + chunk(all[50:51]) + chunk(all[51:]),
		"chunk extension":      head + "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%X;a=b\r\n%s\r\n", len(all), all),
		"until the end":        head + "\r\n" + place + all,
		"CRLF, until the end":  head + "\r\n" + strings.ReplaceAll(place+all, "\n", "\r\n"),
		"CRLF, an event a piece": head + "Transfer-Encoding: chunked\r\n\r\n" + chunk(strings.ReplaceAll(events[0], "\n", "\r\n")) +
			chunk(strings.ReplaceAll(events[1]+events[2], "\n", "\r\n")),
	} {
		t.Run(name, func(t *testing.T) {
			for cut := range len(response) {
				ss, tally := newTestFeed(3, 2)
				for i := range ss {
					n := consume(t, &ss[i], response[:cut], tally)
					consume(t, &ss[i], response[n:], tally)
				}
				checkAll(t, fmt.Sprint("cut at ", cut), ss, tally)
			}
			ss, tally := newTestFeed(3, 2)
			for i := range ss {
				for at, end := 0, 1; end <= len(response); end++ {
					at += consume(t, &ss[i], response[at:end], tally)
				}
			}
			checkAll(t, "byte by byte", ss, tally)
		})
	}
}

func checkAll(t *testing.T, how string, ss []stream, tally *tally) {
	t.Helper()
	for i := range ss {
		if ss[i].got != 3 {
			t.Fatalf("%s: stream %d had %d of 3 events", how, i, ss[i].got)
		}
	}
	if tally.faults != (Faults{}) {
		t.Fatalf("%s: %+v", how, tally.faults)
	}
}

func consume(t *testing.T, s *stream, b string, tally *tally) int {
	t.Helper()
	n, err := s.consume([]byte(b), tally)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestFaults checks that each fault is found, on whichever stream it happens.
func TestFaults(t *testing.T) {
	e := func(number, publisher int64) string {
		return wire(rig.Event{Number: number, Publisher: publisher, At: 5})
	}
	good := e(0, 0) + e(1, 1) + e(2, 0) + e(3, 1)
	torn := strings.Replace(e(1, 1), "fox", "fix", 1)
	for _, row := range []struct {
		name    string
		streams []string
		want    Faults // without Missed, which only the whole run can count
		got     []int64
	}{
		{"good", []string{good, good}, Faults{}, []int64{4, 4}},
		{"missed by the second", []string{good, e(0, 0) + e(2, 0) + e(3, 1)}, Faults{}, []int64{4, 3}},
		{"missed by the first", []string{e(0, 0) + e(2, 0) + e(3, 1), e(0, 0) + e(2, 0) + e(3, 1) + e(4, 0)}, Faults{}, []int64{3, 4}},
		{"doubled", []string{good, e(0, 0) + e(1, 1) + e(1, 1) + e(2, 0) + e(3, 1)}, Faults{Doubled: 1}, []int64{4, 4}},
		{"doubled by the first", []string{e(0, 0) + e(0, 0)}, Faults{Doubled: 1}, []int64{1}},
		{"another order", []string{good, e(1, 1) + e(0, 0) + e(2, 0) + e(3, 1)}, Faults{Doubled: 1}, []int64{4, 3}},
		{"not the publisher's order", []string{e(2, 0) + e(0, 0), e(2, 0) + e(0, 0)}, Faults{Reordered: 1}, []int64{2, 2}},
		{"alone, not the publisher's order", []string{e(2, 0) + e(0, 0)}, Faults{Doubled: 1}, []int64{1}},
		{"torn", []string{good, e(0, 0) + torn + e(2, 0) + e(3, 1)}, Faults{Torn: 1}, []int64{4, 3}},
		{"torn for the first", []string{e(0, 0) + torn}, Faults{Torn: 1}, []int64{1}},
		{"nobody's", []string{"data: hello\n\n" + e(0, 0)}, Faults{Torn: 1}, []int64{1}},
		{"an unknown publisher's", []string{e(0, 7)}, Faults{Doubled: 1}, []int64{0}},
		{"a gap", []string{"event: gap\ndata: {}\n\n" + e(0, 0)}, Faults{Gaps: 1}, []int64{1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			ss, tally := newTestFeed(len(row.streams), 2)
			for i, body := range row.streams {
				consume(t, &ss[i], head+"\r\n"+body, tally)
				if ss[i].got != row.got[i] {
					t.Errorf("stream %d had %d events, not %d", i, ss[i].got, row.got[i])
				}
			}
			if tally.faults != row.want {
				t.Errorf("%+v, not %+v", tally.faults, row.want)
			}
		})
	}
}

// TestReadersMeet reads streams of one feed at the same time, so that any of them may be
// the first to receive an event.
func TestReadersMeet(t *testing.T) {
	const events = 5000
	var body strings.Builder
	for i := range int64(events) {
		body.WriteString(chunk(wire(rig.Event{Number: i, Publisher: i % 3, At: i})))
	}
	response := []byte(head + "Transfer-Encoding: chunked\r\n\r\n" + body.String())
	ss, _ := newTestFeed(8, 3)
	var wg sync.WaitGroup
	for i := range ss {
		wg.Go(func() {
			tally := newTally(new(window))
			for at, end := 0, 0; at < len(response); {
				end = min(end+900+i*100, len(response))
				n, err := ss[i].consume(response[at:end], tally)
				if err != nil {
					t.Error(err)
					return
				}
				at += n
			}
			if ss[i].got != events || tally.faults != (Faults{}) {
				t.Errorf("stream %d had %d events: %+v", i, ss[i].got, tally.faults)
			}
		})
	}
	wg.Wait()
}

func TestRefusals(t *testing.T) {
	for name, response := range map[string]string{
		"status":       "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/event-stream\r\n\r\n",
		"content type": "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n",
		"chunk":        head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
		"last chunk":   head + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		ss, tally := newTestFeed(1, 1)
		if _, err := ss[0].consume([]byte(response), tally); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
