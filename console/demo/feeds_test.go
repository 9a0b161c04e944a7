package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

const rss = `<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0"><channel><title>The &amp; Paper</title>
<item><title>Newer</title><guid>2</guid><link>https://paper.example/2</link><pubDate>Tue, 02 Jan 2024 10:00:00 GMT</pubDate>
<description>&lt;p&gt;Two &lt;b&gt;bold&lt;/b&gt; words&lt;script&gt;alert(1)&lt;/script&gt; &amp;amp; more.&lt;/p&gt;</description></item>
<item><title>Older</title><guid>1</guid><link>javascript:alert(1)</link><pubDate>Mon, 01 Jan 2024 10:00:00 GMT</pubDate></item>
</channel></rss>`

const atom = `<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom"><title>Atoms</title>
<entry><id>urn:1</id><title>Split</title><link href="https://atoms.example/1"/><updated>2024-01-03T10:00:00Z</updated><summary>In two.</summary></entry>
</feed>`

// items records the items that a hub has received, and their ids.
type items struct {
	recorder
	ids []string
}

func (h *items) Publish(ctx context.Context, e Event) error {
	if err := h.recorder.Publish(ctx, e); err != nil {
		return err
	}
	h.ids = append(h.ids, e.ID)
	return nil
}

func (h *items) titles(t *testing.T) (titles []string) {
	t.Helper()
	for _, e := range h.of("news", "item") {
		var item Item
		if err := json.Unmarshal([]byte(e.data), &item); err != nil {
			t.Fatal(err)
		}
		titles = append(titles, item.Title)
	}
	return titles
}

func newFeed(t *testing.T, place string, h Hub) *feed {
	out := &outlet{ctx: t.Context(), topic: "news", hub: h, log: slog.New(slog.DiscardHandler)}
	return &feed{place: place, out: out, seen: map[string]bool{}}
}

func TestFeedFromAServer(t *testing.T) {
	asked, unchanged := 0, 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.Header.Get("If-None-Match") == `"1"` {
			unchanged++
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("ETag", `"1"`)
		fmt.Fprint(w, rss)
	}))
	defer server.Close()
	var h items
	f := newFeed(t, server.URL, &h)
	for range 2 {
		if err := f.poll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 2 || unchanged != 1 {
		t.Errorf("asked %d times, %d of them conditionally", asked, unchanged)
	}
	if got := h.titles(t); !slices.Equal(got, []string{"Older", "Newer"}) {
		t.Errorf("published %q", got)
	}
	var older, newer Item
	_ = json.Unmarshal([]byte(h.of("news", "item")[0].data), &older)
	_ = json.Unmarshal([]byte(h.of("news", "item")[1].data), &newer)
	want := Item{
		T:     time.Date(2024, 1, 2, 10, 0, 0, 0, time.UTC).UnixMilli(),
		Title: "Newer", Summary: "Two bold words & more.", Link: "https://paper.example/2", Source: "The & Paper",
	}
	if newer != want {
		t.Errorf("%+v, want %+v", newer, want)
	}
	if older.Link != "" {
		t.Errorf("a link to %s", older.Link)
	}
	if h.ids[0] == h.ids[1] || h.ids[0] == "" {
		t.Errorf("ids %q", h.ids)
	}
}

func TestFeedFromAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "feed.xml")
	var h items
	f := newFeed(t, file, &h)
	if err := f.poll(t.Context()); err == nil {
		t.Error("no error for a missing file")
	}
	for _, text := range []string{atom, atom, rss} { // unchanged, and then with other items
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := f.poll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := h.titles(t); !slices.Equal(got, []string{"Split", "Older", "Newer"}) {
		t.Errorf("published %q", got)
	}
	if err := os.WriteFile(file, []byte("no feed"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := f.poll(t.Context()); err == nil {
		t.Error("no error for text that is not a feed")
	}
}

func TestDeskWritesOfWhatMovedMost(t *testing.T) {
	price := func(symbol string, price float64) Event {
		data, _ := json.Marshal(Price{Symbol: symbol, Price: price, Open: 100, Source: simulated})
		return Event{Data: data}
	}
	d := desk{mentioned: map[string]float64{}}
	for _, tt := range []struct {
		prices []Event
		want   string
	}{
		{[]Event{{Data: []byte("no price")}, price("A", 100.05)}, ""},
		{[]Event{price("A", 102), price("B", 97)}, "B falls 3.00 % to 97.00"},
		{[]Event{price("A", 102), price("B", 97)}, "A rises 2.00 % to 102.00"},
		{[]Event{price("A", 102), price("B", 97)}, ""},
	} {
		if item, _ := d.write(time.Now(), tt.prices); item.Title != tt.want {
			t.Errorf("%q, want %q", item.Title, tt.want)
		}
	}
}
