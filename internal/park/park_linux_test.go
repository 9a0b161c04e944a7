package park

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/topic"
)

func newLot(t *testing.T) *Lot {
	t.Helper()
	log := eventlog.NewMemory(eventlog.Retention{})
	h, err := hub.New(log, hub.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	l := New(h, Options{Heartbeat: time.Hour, WriteTimeout: time.Hour, Logger: slog.New(slog.DiscardHandler), Shards: 1})
	t.Cleanup(func() {
		l.Close()
		_, _ = h.Close(), log.Close()
	})
	if !l.started() {
		t.Fatal("no shards")
	}
	return l
}

func openStream(t *testing.T, l *Lot) *hub.Stream {
	t.Helper()
	all, err := topic.Parse("*")
	if err != nil {
		t.Fatal(err)
	}
	st, err := l.hub.Stream(t.Context(), hub.Subscription{Selectors: all}, hub.StreamOptions{Heartbeat: time.Hour, Framing: Chunks})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// TestOneOwnerClosesTheDescriptor wakes a stream before its shard has it, and then ends
// the shard. The stream's descriptor must be closed only once, because its number may
// belong to another file by then.
func TestOneOwnerClosesTheDescriptor(t *testing.T) {
	l := newLot(t)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(pair[1]) }()
	p := l.newParked(openStream(t, l), int32(pair[0]))
	p.st.Cursor().SetWaker(p)
	p.Wake()
	l.Close()
	var other [8]int
	for i := range other { // they get the lowest free numbers: two were the shard's and one is the stream's
		if other[i], err = unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			t.Fatal(err)
		}
	}
	p.hand()
	if _, err := unix.Write(pair[1], []byte("x")); err == nil {
		t.Error("the stream's peer can still write: its descriptor was not closed")
	}
	for _, fd := range other {
		if err := unix.Close(fd); err != nil {
			t.Errorf("closing another file's descriptor, %d: %v: the stream's owner has closed it", fd, err)
		}
	}
}

// TestNoDescriptorLeft parks a stream when no descriptor is left. Its client receives the
// position to resume from and a reconnection time, in a body that is cut off.
func TestNoDescriptorLeft(t *testing.T) {
	l := newLot(t)
	l.o.Retry = time.Minute
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		st := openStream(t, l)
		_ = http.NewResponseController(w).Flush()
		var before unix.Rlimit
		lowest, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = errors.Join(unix.Close(lowest), unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
		}
		if err == nil {
			err = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(lowest), Max: before.Max})
		}
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &before) }()
		if !l.Take(w, st) {
			t.Error("the response goes on")
		}
	}))
	defer srv.Close()
	resp, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	again := regexp.MustCompile(`retry: (\d+)\n`).FindAllSubmatch(body, -1)
	if err == nil || !bytes.Contains(body, []byte("id: ")) || len(again) == 0 || len(again[len(again)-1][1]) < 5 {
		t.Errorf("%q, %v; want a place, a retry of at least a minute, and no last chunk", body, err)
	}
}

// TestHandToAnEndedShard checks that the shard closes the descriptor of a stream that it
// has accepted, and that hand closes any other.
func TestHandToAnEndedShard(t *testing.T) {
	for _, ended := range []bool{false, true} {
		l := newLot(t)
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		fd, err := dup(w.Fd())
		_ = w.Close()
		if err != nil {
			t.Fatal(err)
		}
		p := l.newParked(openStream(t, l), fd)
		p.st.Cursor().SetWaker(p)
		if ended {
			l.Close()
		}
		p.hand()
		l.Close()
		if _, err := io.ReadAll(r); err != nil { // ends when the other end is closed
			t.Error(err)
		}
		_ = r.Close()
	}
}
