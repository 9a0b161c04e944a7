package e2e

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// shoot keeps a page as it looks on a phone and on a desk, in light and dark, in
// both languages, and on screens of more sizes.
func shoot(page *tab, name string, more ...[2]int64) {
	page.t.Helper()
	dir := os.Getenv("TIDINGS_ARTIFACTS")
	if dir == "" {
		dir = page.t.TempDir()
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		page.t.Fatal(err)
	}
	for _, lang := range []string{"zh-CN", "en"} {
		if js[string](page, `document.documentElement.lang`) != lang {
			js[bool](page, `document.querySelector("#lang").click() ?? true`)
			page.until(`document.documentElement.lang === $1`, lang)
		}
		for _, scheme := range []string{"light", "dark"} {
			for _, size := range append(more, [2]int64{390, 844}, [2]int64{1440, 900}) {
				file := fmt.Sprintf("%s-%s-%s-%dx%d.png", name, lang, scheme, size[0], size[1])
				if err := os.WriteFile(filepath.Join(dir, file), page.screenshot(scheme, size[0], size[1]), 0o644); err != nil {
					page.t.Fatal(err)
				}
			}
		}
	}
}

// screenshot shows the page on a screen of that size, and checks that it fits
// and follows the colour scheme.
func (b *tab) screenshot(scheme string, width, height int64) []byte {
	b.t.Helper()
	send(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	send(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 600,
	})
	b.until(`innerWidth === $1`, width)
	js[bool](b, `new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`)
	if over := js[int](b, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
		b.t.Errorf("%s, %d wide: the page is %d pixels wider", js[string](b, `location.href`), width, over)
	}
	shot := run(b, chromedp.CaptureScreenshot())
	picture, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		b.t.Fatal(err)
	}
	if got := brightness(picture); (got < 0.35) != (scheme == "dark") {
		b.t.Errorf("%s: in the %s scheme the brightness is %.2f of 1", js[string](b, `location.href`), scheme, got)
	}
	return shot
}

// brightness is that of the average pixel, from 0 to 1.
func brightness(m image.Image) float64 {
	sum, n := 0.0, 0.0
	for y := m.Bounds().Min.Y; y < m.Bounds().Max.Y; y += 3 {
		for x := m.Bounds().Min.X; x < m.Bounds().Max.X; x += 3 {
			r, g, b, _ := m.At(x, y).RGBA()
			sum += float64(r + g + b)
			n += 3 * 0xffff
		}
	}
	return sum / n
}
