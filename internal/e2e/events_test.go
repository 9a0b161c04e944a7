package e2e

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

func TestEventsInBrowser(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	page := openRecorder(t)
	s := page.connect(h.url("/events/news"), connection{types: []string{"message", "alert", "other"}})
	s.expect("onopen", open)
	if s.state() != open {
		t.Errorf("readyState is %d after open", s.state())
	}

	// The page gets no event before the first one published: the position block
	// calls no handler.
	id := h.publish("news", "hello")
	s.expectEvent("onmessage", "message", "hello", id)
	s.expectEvent("addEventListener", "message", "hello", id)

	for _, c := range []struct{ why, typ, data, want string }{
		{why: "a named event reaches only its listeners", typ: "alert", data: "fire", want: "fire"},
		{why: "line breaks in data are kept", typ: "other", data: "a\nb\n\nc", want: "a\nb\n\nc"},
		{why: "all line ends arrive as LF", typ: "other", data: "a\r\nb\rc", want: "a\nb\nc"},
		{why: "a line end at the end is data", typ: "alert", data: "a\n", want: "a\n"},
		{why: "data may be empty", typ: "alert", data: "", want: ""},
		{why: "the client strips one space after the colon; a leading space in data is kept", typ: "alert", data: " a", want: " a"},
		{why: "data that looks like a field is data", typ: "alert", data: "event: x\nid: y\n:", want: "event: x\nid: y\n:"},
		{why: "UTF-8", typ: "消息", data: "héllo, 世界 🙂", want: "héllo, 世界 🙂"},
	} {
		t.Log(c.why)
		id := h.publish("news", c.data, "type", c.typ)
		s := page.connect(h.url("/events/news?last=1"), connection{types: []string{c.typ}})
		s.expect("onopen", open)
		s.expectEvent("addEventListener", c.typ, c.want, id)
		// If onmessage also got the named event, that call would come before this one.
		own := "own id after " + id
		h.publish("news", "end", "id", own)
		s.expectEvent("onmessage", "message", "end", own)
		s.close()
	}
	page.noProblems(false)
}

func TestTypeFilterInBrowser(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	page := openRecorder(t)
	types := connection{types: []string{"price", "alarm", "chat"}}
	some := page.connect(h.url("/events/mix?type=price&type=alarm"), types)
	unnamed := page.connect(h.url("/events/mix?type=message"), types)
	some.expect("onopen", open)
	unnamed.expect("onopen", open)
	price := h.publish("mix", "1", "type", "price")
	h.publish("mix", "2", "type", "chat")
	plain := h.publish("mix", "3")
	alarm := h.publish("mix", "4", "type", "alarm")
	last := h.publish("mix", "5")
	some.expectEvent("addEventListener", "price", "1", price)
	some.expectEvent("addEventListener", "alarm", "4", alarm)
	unnamed.expectEvent("onmessage", "message", "3", plain)
	unnamed.expectEvent("onmessage", "message", "5", last)
}

func TestEnvelopeInBrowser(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	page := openRecorder(t)
	s := page.connect(h.url("/events?topic=a&topic=b&envelope=json"), connection{types: []string{"price"}})
	s.expect("onopen", open)
	for _, c := range []struct{ topic, typ, data string }{
		{"a", "message", "plain\ntext"},
		{"b", "price", `{"eur":12.5}`},
	} {
		before := time.Now()
		id := h.publish(c.topic, c.data, "type", c.typ)
		r := s.nextEvent()
		var got struct {
			Topics     []string
			Type, Data string
			Time       time.Time
		}
		if err := json.Unmarshal([]byte(r.Data), &got); err != nil {
			t.Fatalf("%v in %q", err, r.Data)
		}
		if r.Type != c.typ || r.ID != id {
			t.Errorf("got %+v; the event itself must keep type %s and id %s", r, c.typ, id)
		}
		if !reflect.DeepEqual(got.Topics, []string{c.topic}) || got.Type != c.typ || got.Data != c.data {
			t.Errorf("envelope of %+v: %s", c, r.Data)
		}
		if age := got.Time.Sub(before); age < -time.Millisecond || age > patience {
			t.Errorf("the envelope's time is %s after the event was published", age)
		}
	}
}

// With --demo, the addresses that usual tutorials connect to send a date each second.
func TestTutorialAddresses(t *testing.T) {
	t.Parallel()
	h := startHub(t, "--demo")
	for _, path := range []string{"", "/", "/test/server-sent-events"} {
		page := openRecorder(t)
		s := page.connect(h.url(path), connection{})
		s.expect("onopen", open)
		first := date(t, page, s.expect("onmessage", open).Data)
		second := date(t, page, s.expect("onmessage", open).Data)
		if d := second.Sub(first); d < time.Second || d > 3*time.Second {
			t.Errorf("%q: dates are %s apart, not a second", path, d)
		}
		if age := time.Since(first); age < -time.Second || age > patience {
			t.Errorf("%q: the date is %s old", path, age)
		}
		s.close()
	}
}

// date parses a text with the browser's own Date.
func date(t *testing.T, page *tab, text string) time.Time {
	t.Helper()
	ms := js[*int64](page, `new Date($1).getTime()`, text)
	if ms == nil {
		t.Fatalf("new Date(%q) is invalid", text)
	}
	return time.UnixMilli(*ms)
}
