package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// A screen is the size of a screen, in CSS pixels.
type screen struct{ width, height int64 }

var (
	phone   = screen{390, 844}
	desktop = screen{1440, 900}
	wall    = screen{1920, 1080}
)

func (s screen) String() string { return fmt.Sprintf("%dx%d", s.width, s.height) }

// isPhone reports whether the screen is a phone's: with touch, without a mouse, and
// with a mobile layout.
func (s screen) isPhone() bool { return s.width < 600 }

// other returns a different screen, for a second viewer of the same page.
func (s screen) other() screen {
	if s.isPhone() {
		return desktop
	}
	return phone
}

// onScreens runs drive on a phone, on a desktop screen, and on more screens, in
// parallel.
func onScreens(t *testing.T, drive func(t *testing.T, on screen), more ...screen) {
	t.Parallel()
	for _, on := range append([]screen{phone, desktop}, more...) {
		t.Run(on.String(), func(t *testing.T) {
			t.Parallel()
			drive(t, on)
		})
	}
}

// show changes the screen that the tab is on.
func (b *tab) show(on screen) {
	b.t.Helper()
	b.on = on
	send(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: on.width, Height: on.height, DeviceScaleFactor: 1, Mobile: on.isPhone(),
	})
	send(b, emulation.SetTouchEmulationEnabled, emulation.SetTouchEmulationEnabledParams{Enabled: on.isPhone()})
}

// driven ends a test of a page: it checks that the page fits its screen and that the
// console shows no error (see noProblems), and saves a screenshot.
func (b *tab) driven(name string, networkWasCut bool) {
	b.t.Helper()
	b.fits()
	b.keep(fmt.Sprintf("driven-%s-%s", name, b.on), run(b, chromedp.CaptureScreenshot()))
	b.noProblems(networkWasCut)
}

// fits checks that the page is not wider than its screen.
func (b *tab) fits() {
	b.t.Helper()
	eventually(b.t, "to fit the screen", func() (bool, string) {
		// A phone zooms out to show a page that is too wide: innerWidth grows.
		width := js[int64](b, `Math.max(innerWidth, document.documentElement.scrollWidth)`)
		return width == b.on.width, fmt.Sprintf("%s is %d wide, on %s", js[string](b, `location.href`), width, b.on)
	})
}

// keepFailed saves a screenshot of the page if the test has failed, and logs its
// address and fields.
func (b *tab) keepFailed() {
	if !b.t.Failed() {
		return
	}
	if shot, err := try(b, chromedp.CaptureScreenshot()); err == nil {
		b.keep("failed-"+strings.ReplaceAll(b.t.Name(), "/", "-"), shot)
	}
	what, err := try(b, chromedp.Evaluate[string](`JSON.stringify({
		address: location.href, focus: document.activeElement?.id, visible: document.visibilityState,
		fields: Object.fromEntries([...document.querySelectorAll("input, textarea")].map((f) => [f.id, f.value])),
	})`))
	b.t.Logf("the page: %s (%v)", what, err)
}

// keep saves a screenshot in the directory TIDINGS_ARTIFACTS. If that is not set, it
// does nothing.
func (b *tab) keep(name string, png []byte) {
	b.t.Helper()
	dir := os.Getenv("TIDINGS_ARTIFACTS")
	if dir == "" {
		return
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
