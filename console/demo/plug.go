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
	plugCounter = "counter"             // on the child's: the numbers
	plugEvery   = 50 * time.Millisecond // a number
	plugDark    = 2 * time.Second       // how long the child stays dead, to be seen
	plugBatch   = 500                   // numbers in a request
	plugBacklog = 200_000               // numbers that wait while the child is dead
	plugRetry   = "400ms"
)

// A Plug is a hub to be killed in front of a viewer: a process of this program
// with a port and a data directory of its own, and a publisher that numbers its
// events. It begins when somebody first looks.
type Plug struct {
	program string
	dir     string // the child's data directory; "": a temporary one
	log     *slog.Logger
	wanted  chan struct{} // closed when somebody looks
	want    sync.Once

	mu        sync.Mutex
	address   string // the child's, "" before it has one
	process   *os.Process
	up        bool
	kills     int
	produced  int64
	backlog   []int64 // numbers not acknowledged yet, oldest first
	announced chan struct{}
}

// A PlugState is what the publisher knows.
type PlugState struct {
	T            int64 `json:"t"`
	Up           bool  `json:"up"`           // the child answers
	PID          int   `json:"pid"`          // 0 while it is dead
	Kills        int   `json:"kills"`        // so far
	Produced     int64 `json:"produced"`     // numbers, which begin at 1
	Acknowledged int64 `json:"acknowledged"` // of them, by the child's 2xx
}

// NewPlug returns a plug whose child is a process of that program with that data
// directory, or, if it is "", a temporary one. It is removed at the end. What a
// run that was killed has left in it does no harm.
func NewPlug(program, dir string, log *slog.Logger) *Plug {
	return &Plug{program: program, dir: dir, log: log, wanted: make(chan struct{}), announced: make(chan struct{}, 1)}
}

// Events serves the child's streams: through the parent's own origin, so that a
// page reaches it wherever it reaches the parent. leaving ends them.
func (p *Plug) Events(leaving <-chan struct{}) http.Handler {
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1,
		ErrorLog:      slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo), // that it dies is the point
		Rewrite: func(r *httputil.ProxyRequest) {
			p.mu.Lock()
			defer p.mu.Unlock()
			r.Out.URL = &url.URL{Scheme: "http", Host: p.address, Path: "/events", RawQuery: r.In.URL.RawQuery}
			r.Out.Host = p.address
			r.Out.Header.Del("Origin")
			r.Out.Header.Del("Cookie")
		},
		// To an EventSource any status but 200 would be final.
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

// comeBack answers a stream that cannot be served now: with an end, and when to
// try again.
func comeBack(w http.ResponseWriter) {
	w.Header().Set("Content-Type", sse.MediaType)
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(sse.AppendRetry(nil, 500*time.Millisecond))
}

// run keeps the child alive, numbers its events, and pulls the plug when a page
// asks for it on the parent's hub; until ctx ends.
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
			p.log.Warn("demo: no place for the hub to be killed", "error", err)
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
		_ = p.process.Kill() // SIGKILL: as a power cut would. It may just have died.
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

// change changes the state, and has it announced at once.
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

// keepAlive starts the child, again whenever it has died.
func (p *Plug) keepAlive(ctx context.Context, dir string) {
	// Linux ends the child with the thread that started it, and so with us.
	runtime.LockOSThread()
	for ctx.Err() == nil {
		if err := p.live(ctx, dir); err != nil && ctx.Err() == nil {
			p.log.Warn("demo: the hub to be killed does not start", "error", err)
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
		_ = cmd.Wait() // it is killed; what matters is that it is over
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

// withoutOurs leaves out what configures this hub, which the child must not take
// for its own.
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

// number makes the next number, whether or not there is a hub to take it.
func (p *Plug) number() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.backlog) >= plugBacklog {
		return // it is not produced, and so not lost
	}
	p.produced++
	p.backlog = append(p.backlog, p.produced)
}

// send publishes what waits, in order, as often as it takes to be acknowledged.
// Each number of a run has an id of its own, so none is published twice.
func (p *Plug) send(ctx context.Context, run string) {
	every(ctx, plugEvery, func(time.Time) {
		p.mu.Lock()
		address, batch := p.address, p.backlog[:min(len(p.backlog), plugBatch)]
		up := p.up
		p.mu.Unlock()
		if !up || len(batch) == 0 || publishNumbers(ctx, address, run, batch) != nil {
			return // the same again
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
