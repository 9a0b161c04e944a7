package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/tidings-sse/tidings/sse"
)

const (
	plugTopic   = "plug"                // on the parent's hub: `pull` and `state`
	plugCounter = "counter"             // on the child's hub: the numbers
	plugEvery   = 50 * time.Millisecond // the time between two numbers
	plugDark    = 2 * time.Second       // how long the child stays dead, so that viewers see it
	plugBatch   = 500                   // numbers in a request
	plugBacklog = 200_000               // numbers that may wait while the child is dead
	plugRetry   = "400ms"
)

// A Plug runs a second hub that viewers can kill: a child process of this program with
// its own port and data directory, and a publisher that numbers its events. It starts when
// the first viewer requests it.
type Plug struct {
	program string
	dir     string // the child's data directory; "": a temporary one
	log     *slog.Logger
	wanted  chan struct{} // closed at the first request
	want    sync.Once

	mu        sync.Mutex
	address   string // the child's; "" before it has one
	process   *os.Process
	up        bool
	kills     int
	produced  int64
	backlog   []int64 // unacknowledged numbers, oldest first
	announced chan struct{}
}

// A PlugState describes the child and its publisher.
type PlugState struct {
	T            int64 `json:"t"`
	Up           bool  `json:"up"`           // the child answers
	PID          int   `json:"pid"`          // 0 while it is dead
	Kills        int   `json:"kills"`        // how often it has died
	Produced     int64 `json:"produced"`     // the last number; they begin at 1
	Acknowledged int64 `json:"acknowledged"` // how many of them the child has answered with 2xx
}

// NewPlug returns a plug whose child runs program with a data directory. If dir is "", the
// directory is temporary. It is removed at the end. Files that a killed run has left in it
// do no harm.
func NewPlug(program, dir string, log *slog.Logger) *Plug {
	return &Plug{program: program, dir: dir, log: log, wanted: make(chan struct{}), announced: make(chan struct{}, 1)}
}

// Events serves the child's streams through the parent's own origin, so that every page
// that reaches the parent reaches the child. Closing leaving ends them.
func (p *Plug) Events(leaving <-chan struct{}) http.Handler {
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1,
		ErrorLog:      slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo), // the child is meant to die
		Rewrite: func(r *httputil.ProxyRequest) {
			p.mu.Lock()
			defer p.mu.Unlock()
			r.Out.URL = &url.URL{Scheme: "http", Host: p.address, Path: "/events", RawQuery: r.In.URL.RawQuery}
			r.Out.Host = p.address
			r.Out.Header.Del("Origin")
			r.Out.Header.Del("Cookie")
		},
		// For an EventSource, any status but 200 would be final.
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { comeBack(w) },
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.want.Do(func() { close(p.wanted) })
		if !p.state().Up {
			comeBack(w)
			return
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		go func() {
			select {
			case <-leaving:
				cancel()
			case <-ctx.Done():
			}
		}()
		proxy.ServeHTTP(w, r.WithContext(ctx))
	})
}

// comeBack answers a stream that cannot be served now with a reconnection time, and ends
// it.
func comeBack(w http.ResponseWriter) {
	w.Header().Set("Content-Type", sse.MediaType)
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(sse.AppendRetry(nil, 500*time.Millisecond))
}

// run keeps the child alive, publishes numbers to it, and kills it when a page asks for
// that on the parent's hub, until ctx ends.
func (p *Plug) run(ctx context.Context, hub Hub) {
	select {
	case <-p.wanted:
	case <-ctx.Done():
		return
	}
	dir := p.dir
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "tidings-demo-"); err != nil {
			p.log.Warn("demo: cannot create a directory for the plug's hub", "error", err)
			return
		}
	}
	defer func() { _ = os.RemoveAll(dir) }()

	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { p.keepAlive(ctx, dir) })
	wg.Go(func() { every(ctx, plugEvery, func(time.Time) { p.number() }) })
	wg.Go(func() { p.send(ctx, rand.Text()) })
	wg.Go(func() { p.announce(ctx, hub) })
	for event, err := range hub.Follow(ctx, plugTopic, "") {
		if err != nil {
			return
		}
		if event.Type == "pull" {
			p.pull()
		}
	}
}

func (p *Plug) pull() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.up {
		_ = p.process.Kill() // SIGKILL, like a power cut; it may have died already
	}
}

func (p *Plug) state() PlugState {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := PlugState{
		T: time.Now().UnixMilli(), Up: p.up, Kills: p.kills,
		Produced: p.produced, Acknowledged: p.produced - int64(len(p.backlog)),
	}
	if p.process != nil {
		s.PID = p.process.Pid
	}
	return s
}

// change changes the state and announces it at once.
func (p *Plug) change(f func()) {
	p.mu.Lock()
	f()
	p.mu.Unlock()
	select {
	case p.announced <- struct{}{}:
	default:
	}
}

func (p *Plug) announce(ctx context.Context, hub Hub) {
	out := &outlet{ctx: ctx, topic: plugTopic, hub: hub, log: p.log}
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		out.emit("state", p.state())
		select {
		case <-p.announced:
		case <-second.C:
		case <-ctx.Done():
			return
		}
	}
}

// keepAlive starts the child, and again whenever it has died.
func (p *Plug) keepAlive(ctx context.Context, dir string) {
	// Linux kills the child when the thread that started it ends, and so when we end.
	runtime.LockOSThread()
	for ctx.Err() == nil {
		if err := p.live(ctx, dir); err != nil && ctx.Err() == nil {
			p.log.Warn("demo: the plug's hub does not start", "error", err)
		}
		select {
		case <-time.After(plugDark):
		case <-ctx.Done():
		}
	}
}

// live runs the child until it dies.
func (p *Plug) live(ctx context.Context, dir string) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.program, "serve", "--listen", address, "--data", dir, "--retry", plugRetry, "--drain", "0s", "--min-free", "0", "--retain-age", "1h")
	cmd.Env = withoutOurs(os.Environ())
	cmd.SysProcAttr = diesWithUs()
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return err
	}
	died := make(chan struct{})
	go func() {
		_ = cmd.Wait() // its error is that it was killed
		close(died)
	}()
	if err := ready(ctx, address, died); err != nil {
		cancel()
		<-died
		return fmt.Errorf("%w: %s", err, said.String())
	}
	p.change(func() { p.address, p.process, p.up = address, cmd.Process, true })
	<-died
	p.change(func() {
		p.process, p.up = nil, false
		p.kills++
	})
	return nil
}

func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

// withoutOurs removes this hub's configuration from the environment, because the child
// must not use it.
func withoutOurs(environ []string) (rest []string) {
	for _, entry := range environ {
		if !strings.HasPrefix(entry, "TIDINGS_") {
			rest = append(rest, entry)
		}
	}
	return rest
}

var errDied = errors.New("it has ended")

// ready waits until a hub answers.
func ready(ctx context.Context, address string, died <-chan struct{}) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-died:
			return errDied
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// number produces the next number, whether or not the child is up.
func (p *Plug) number() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.backlog) >= plugBacklog {
		return // not produced, and so not lost
	}
	p.produced++
	p.backlog = append(p.backlog, p.produced)
}

// send publishes the backlog in order, and retries until it is acknowledged. Each number
// of a run has its own id, so none is published twice.
func (p *Plug) send(ctx context.Context, run string) {
	every(ctx, plugEvery, func(time.Time) {
		p.mu.Lock()
		address, batch := p.address, p.backlog[:min(len(p.backlog), plugBatch)]
		up := p.up
		p.mu.Unlock()
		if !up || len(batch) == 0 || publishNumbers(ctx, address, run, batch) != nil {
			return // retry with the next step
		}
		p.mu.Lock()
		p.backlog = p.backlog[len(batch):]
		p.mu.Unlock()
	})
}

func publishNumbers(ctx context.Context, address, run string, numbers []int64) error {
	var body bytes.Buffer
	for _, n := range numbers {
		fmt.Fprintf(&body, `{"topic":%q,"id":"%s-%d","data":%d}`+"\n", plugCounter, run, n, n)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/events", &body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	for answers := json.NewDecoder(resp.Body); ; {
		var answer struct{ ID, Title string }
		if err := answers.Decode(&answer); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		if answer.ID == "" {
			return errors.New(answer.Title)
		}
		numbers = numbers[1:]
	}
	if len(numbers) > 0 {
		return io.ErrUnexpectedEOF
	}
	return nil
}
