package demo

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mmcdole/gofeed"
	"golang.org/x/net/html"
)

const (
	feedEvery   = 5 * time.Minute // how often a feed is requested from its server
	fileEvery   = 10 * time.Second
	feedTimeout = 20 * time.Second
	feedSize    = 8 << 20 // bytes, at most
	feedItems   = 20      // the newest of each feed
	summarySize = 280     // characters
)

// readFeeds publishes the items of feeds as they appear, until ctx ends.
func readFeeds(ctx context.Context, places []string, out *outlet, log *slog.Logger) {
	var wg sync.WaitGroup
	for _, place := range places {
		f := &feed{place: place, out: &outlet{ctx: ctx, topic: out.topic, hub: out.hub, log: log}, seen: map[string]bool{}}
		wg.Go(func() { f.run(ctx, log) })
	}
	wg.Wait()
}

// A feed is an RSS, Atom or JSON feed at a URL or in a file.
type feed struct {
	place string
	out   *outlet
	seen  map[string]bool // ids of published items
	etag  string
}

func (f *feed) run(ctx context.Context, log *slog.Logger) {
	pause := fileEvery
	if isURL(f.place) {
		pause = feedEvery
	}
	failing := false
	for {
		err := f.poll(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			log.Warn("demo: a feed cannot be read", "feed", f.place, "error", err)
		}
		failing = err != nil
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

func isURL(place string) bool {
	u, err := url.Parse(place)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https")
}

var errUnchanged = errors.New("unchanged")

func (f *feed) poll(ctx context.Context) error {
	body, err := f.open(ctx)
	if errors.Is(err, errUnchanged) {
		return nil
	} else if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	parsed, err := gofeed.NewParser().Parse(io.LimitReader(body, feedSize))
	if err != nil {
		return err
	}
	items := parsed.Items
	slices.SortStableFunc(items, func(a, b *gofeed.Item) int { return dated(a).Compare(dated(b)) })
	for _, item := range items[max(0, len(items)-feedItems):] {
		if err := f.publish(parsed, item); err != nil {
			return err
		}
	}
	return nil
}

func (f *feed) open(ctx context.Context) (io.ReadCloser, error) {
	if !isURL(f.place) {
		return os.Open(f.place)
	}
	ctx, cancel := context.WithTimeout(ctx, feedTimeout)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.place, nil)
	if err != nil {
		cancel()
		return nil, err
	}
	req.Header.Set("User-Agent", "Tidings demo (feed reader)")
	if f.etag != "" {
		req.Header.Set("If-None-Match", f.etag)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		cancel()
		return nil, err
	}
	body := &timedBody{resp.Body, cancel}
	switch resp.StatusCode {
	case http.StatusOK:
		f.etag = resp.Header.Get("ETag")
		return body, nil
	case http.StatusNotModified:
		return nil, errors.Join(errUnchanged, body.Close())
	}
	return nil, errors.Join(fmt.Errorf("GET %s: %s", f.place, resp.Status), body.Close())
}

// A timedBody ends its request's context when it is closed.
type timedBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b *timedBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

func dated(item *gofeed.Item) time.Time {
	if t := cmp.Or(item.PublishedParsed, item.UpdatedParsed); t != nil {
		return *t
	}
	return time.Time{}
}

// publish publishes an item with an id that never changes.
func (f *feed) publish(parsed *gofeed.Feed, item *gofeed.Item) error {
	id := itemID(f.place, cmp.Or(item.GUID, item.Link, item.Title))
	title := plain(item.Title)
	if f.seen[id] || title == "" {
		return nil
	}
	t := time.Now()
	if at := dated(item); !at.IsZero() {
		t = at
	}
	data, err := json.Marshal(Item{
		T:       t.UnixMilli(),
		Title:   title,
		Summary: plain(cmp.Or(item.Description, item.Content)),
		Link:    webLink(item.Link),
		Source:  cmp.Or(plain(parsed.Title), f.place),
	})
	if err != nil {
		return err
	}
	if err := f.out.hub.Publish(f.out.ctx, Event{Topics: []string{f.out.topic}, Type: "item", ID: id, Data: data}); err != nil {
		return err
	}
	f.seen[id] = true
	return nil
}

// webLink returns link if a page may link to it, or "".
func webLink(link string) string {
	if !isURL(link) {
		return ""
	}
	return link
}

// plain returns the text of HTML, on one line and at most summarySize characters long.
func plain(text string) string {
	var b strings.Builder
	for z, skip := html.NewTokenizer(strings.NewReader(text)), ""; ; {
		switch z.Next() {
		case html.ErrorToken:
			return clip(strings.Join(strings.Fields(b.String()), " "))
		case html.TextToken:
			if skip == "" {
				b.WriteString(html.UnescapeString(string(z.Raw())))
			}
		case html.StartTagToken:
			name, _ := z.TagName()
			if n := string(name); n == "script" || n == "style" {
				skip = n
			}
			b.WriteByte(' ')
		case html.EndTagToken:
			if name, _ := z.TagName(); string(name) == skip {
				skip = ""
			}
		}
	}
}

func clip(text string) string {
	if r := []rune(text); len(r) > summarySize {
		return strings.TrimSpace(string(r[:summarySize])) + "…"
	}
	return text
}
