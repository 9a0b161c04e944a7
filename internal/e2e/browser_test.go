package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// chromium is the browser that all tests share.
var chromium browser

type browser struct {
	once    sync.Once
	ctx     context.Context
	err     error
	cleanup []func()
}

// Names that the browser resolves to this machine, although they are not
// loopback names: the hub takes pages from them for pages of another origin.
const (
	allowedName = "app.example"
	foreignName = "other.example"
)

func (b *browser) start(path string) {
	dir, err := os.MkdirTemp("", "tidings-e2e-chromium-")
	if err != nil {
		b.err = err
		return
	}
	b.cleanup = append(b.cleanup, func() { _ = os.RemoveAll(dir) })
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path),
		chromedp.UserDataDir(dir),
		chromedp.Env("TMPDIR=" + dir),
		chromedp.Flag("headless", "new"),
		chromedp.NoSandbox, // it does not work in containers and for root
		chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck,
		chromedp.DisableGPU,
		chromedp.Flag("host-resolver-rules", fmt.Sprintf("MAP %s 127.0.0.1,MAP %s 127.0.0.1", allowedName, foreignName)),
		// Pages in the background run at full speed.
		chromedp.Flag("disable-background-timer-throttling", true),
		chromedp.Flag("disable-backgrounding-occluded-windows", true),
		chromedp.Flag("disable-renderer-backgrounding", true),
		// The browser makes no requests of its own.
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("lang", "en-GB"),
		chromedp.Flag("hide-scrollbars", true), // for screenshots
	}
	allocator, kill := chromedp.NewExecAllocator(context.Background(), options...)
	b.cleanup = append(b.cleanup, kill)
	b.ctx, _ = chromedp.NewContext(allocator)
	b.cleanup = append(b.cleanup, func() {
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		defer cancel()
		_ = chromedp.Cancel(ctx) // if this fails, kill ends the browser
	})
	b.err = chromedp.Do(b.ctx)
}

func (b *browser) stop() {
	for _, f := range slices.Backward(b.cleanup) {
		f()
	}
}

// A tab is a page in a browser context of its own: cookies, storage and
// connections are not shared between tests.
type tab struct {
	t     *testing.T
	ctx   context.Context
	close func()
	on    screen

	mu       sync.Mutex
	sources  map[string]*source
	problems []problem // what the console showed as an error, oldest first
}

// A problem is an error on the console or an exception.
type problem struct {
	network bool // the browser reports a request that failed
	text    string
}

// openTab opens target in a new tab on a desktop screen.
func openTab(t *testing.T, target string) *tab {
	t.Helper()
	return openOn(t, desktop, target)
}

// openOn opens target in a new tab on the given screen. It starts Chromium if
// that does not run yet.
func openOn(t *testing.T, on screen, target string) *tab {
	t.Helper()
	path := require(t, "Chromium", "chromium", "chromium-browser", "google-chrome")
	chromium.once.Do(func() { chromium.start(path) })
	if chromium.err != nil {
		t.Fatalf("Chromium does not start: %v", chromium.err)
	}
	ctx, cancel := chromedp.NewContext(chromium.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx, close: cancel, sources: map[string]*source{}}
	if err := chromedp.Listen(ctx, b.hear); err != nil { // this opens the tab
		t.Fatalf("browser: %v", err)
	}
	t.Cleanup(b.keepFailed)
	send(b, runtime.AddBinding, runtime.AddBindingParams{Name: "report"})
	b.show(on)
	run(b, chromedp.Navigate(target))
	return b
}

// run performs an action in the tab and returns its result. It fails the test
// if the action fails or takes longer than patience.
func run[T any](b *tab, action chromedp.Action[T]) T {
	b.t.Helper()
	v, err := try(b, action)
	if err != nil {
		b.t.Fatalf("browser: %v", err)
	}
	return v
}

// try is run, but returns the error.
func try[T any](b *tab, action chromedp.Action[T]) (T, error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, action)
}

// send sends a command of the DevTools protocol and returns its result.
func send[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	r, err := chromedp.Call(ctx, command, params)
	if err != nil {
		b.t.Fatalf("browser: %s: %v", command.Method, err)
	}
	return r
}

// js evaluates an expression, awaits it if it is a promise, and returns its value.
func js[T any](b *tab, expression string, args ...any) T {
	b.t.Helper()
	return run(b, chromedp.Evaluate[T](call(expression, args...), chromedp.EvalAwaitPromise))
}

// call replaces $1, $2 and so on in expression by args, as JSON.
func call(expression string, args ...any) string {
	var places []string
	for i, a := range args {
		text, err := json.Marshal(a)
		if err != nil {
			panic(err) // args are strings, numbers and booleans
		}
		places = append(places, fmt.Sprint("$", i+1), string(text))
	}
	return strings.NewReplacer(places...).Replace(expression)
}

// until waits until an expression is true.
func (b *tab) until(expression string, args ...any) {
	b.t.Helper()
	condition := call(expression, args...)
	eventually(b.t, condition, func() (bool, string) {
		// While the tab navigates to another page, this returns an error.
		ok, err := try(b, chromedp.Evaluate[bool]("Boolean("+condition+")"))
		if err != nil {
			return false, err.Error()
		}
		return ok, "false"
	})
}

// text returns an element's text.
func (b *tab) text(selector string) string {
	b.t.Helper()
	return js[string](b, `document.querySelector($1).textContent`, selector)
}

// click clicks an element where it is on the screen: with the mouse, or by
// touch on a phone.
func (b *tab) click(selector string) {
	b.t.Helper()
	if b.on.isPhone() {
		run(b, chromedp.Tap(selector))
	} else {
		run(b, chromedp.Click(selector))
	}
}

// back navigates to the previous page. The script returns before the page
// unloads, because the browser drops the result of a page that is gone.
func (b *tab) back() {
	b.t.Helper()
	js[bool](b, `(setTimeout(() => history.back()), true)`)
}

// hear records an event of the DevTools protocol: a report of a source, or a problem.
func (b *tab) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventBindingCalled:
		var r report
		if err := json.Unmarshal([]byte(e.Payload), &r); err != nil {
			b.problems = append(b.problems, problem{text: "a report is not JSON: " + e.Payload})
			return
		}
		if s := b.sources[r.Source]; s != nil {
			s.reports <- r
		}
	case *runtime.EventExceptionThrown:
		b.problems = append(b.problems, problem{text: exceptionText(e.ExceptionDetails)})
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning || e.Type == runtime.ConsoleAPICalledTypeAssert {
			var text []string
			for _, a := range e.Args {
				text = append(text, string(a.Value)+a.Description)
			}
			said := strings.Join(text, " ")
			b.problems = append(b.problems, problem{said == brokenFetch, said})
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			b.problems = append(b.problems, problem{e.Entry.Source == log.EntrySourceNetwork, fmt.Sprintf("%s: %s (%s)", e.Entry.Source, e.Entry.Text, e.Entry.URL)})
		}
	}
}

// brokenFetch is the error with which Chromium's fetch reports a body that
// breaks off. The hub breaks off a stream when its client is to reconnect;
// event-source-polyfill then writes this error to the console and reconnects.
const brokenFetch = "TypeError: network error"

func exceptionText(d *runtime.ExceptionDetails) string {
	if d.Exception != nil {
		return d.Text + " " + d.Exception.Description
	}
	return d.Text
}

// noProblems checks that the console shows no error and that no exception was
// thrown. If the test cut the network on purpose, noProblems ignores the failed
// requests that the browser reports.
func (b *tab) noProblems(networkWasCut bool) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.problems {
		if !p.network || !networkWasCut {
			b.t.Errorf("console: %s", p.text)
		}
	}
}
