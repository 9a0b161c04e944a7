package budget

import (
	"sync"
	"testing"
)

func TestShare(t *testing.T) {
	b := New(1000)
	windows, pages, publishes := b.Share(Windows), b.Share(Pages), b.Share(Publishes)
	if !windows.Take(300) || windows.Take(1) {
		t.Error("windows may hold 30 % of the limit, and no more")
	}
	if !pages.Take(200) || pages.Take(1) {
		t.Error("pages may hold 20 % of the limit, and no more")
	}
	pages.Give(100)
	if !publishes.Take(150) || pages.Take(1) {
		t.Error("pages may not grow when the whole is half full")
	}
	if got := b.Used(); got != 550 {
		t.Errorf("%d bytes are held, want 550", got)
	}
	if got := pages.Refused(); got != 2 {
		t.Errorf("%d refusals of pages, want 2", got)
	}
	windows.Give(300)
	pages.Give(100)
	publishes.Give(150)
	if b.Used() != 0 || windows.Used() != 0 {
		t.Errorf("%d bytes are held after all was given back", b.Used())
	}
}

// TestOrder checks that a use which is refused later may fill the account further.
func TestOrder(t *testing.T) {
	b := New(1 << 20)
	for i, u := range Uses() {
		if i > 0 && b.Share(u).upTo < b.Share(u-1).upTo {
			t.Errorf("%v is refused before %v", u, u-1)
		}
	}
	if b.Share(SmallWindows).upTo != b.Limit()/100*100 {
		t.Error("nothing may fill the account")
	}
}

func TestWithoutLimit(t *testing.T) {
	b := New(0)
	if b.Limit() != 0 {
		t.Errorf("the limit is %d, want none", b.Limit())
	}
	if pages := b.Share(Pages); !pages.Take(pages.Most()) || pages.Take(1) {
		t.Error("without a limit, pages must still have a share")
	}
	if !b.Share(Subscriptions).Take(1 << 40) {
		t.Error("subscriptions are bounded without a limit")
	}
}

// TestConnectionsAreApart checks that connections and other uses take nothing from each other.
func TestConnectionsAreApart(t *testing.T) {
	b := New(1000)
	connections, windows := b.Share(Connections), b.Share(Windows)
	if !connections.Take(1 << 40) {
		t.Error("connections have a limit before one is set")
	}
	connections.Give(1 << 40)
	b.LimitConnections(100)
	if !connections.Take(100) || connections.Take(1) {
		t.Error("connections may hold their limit, and no more")
	}
	if !windows.Take(300) || b.Used() != 300 {
		t.Errorf("%d bytes are held beside connections, want 300", b.Used())
	}
}

func TestConcurrentTakes(t *testing.T) {
	b := New(100_000)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10_000 {
				if s := b.Share(Windows); s.Take(7_000) {
					if s.Used() > s.Most()+8*7_000 { // a Take that fails adds its bytes for a moment
						t.Error("a share holds more than it may")
					}
					s.Give(7_000)
				}
			}
		})
	}
	wg.Wait()
	if b.Used() != 0 {
		t.Errorf("%d bytes are held after all was given back", b.Used())
	}
}
