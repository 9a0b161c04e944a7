package e2e

import (
	"bytes"
	"fmt"
	"image"
	"image/png"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// shoot saves screenshots of a page in both languages and both colour schemes, on a
// phone, on a desktop screen and on more screens.
func shoot(page *tab, name string, more ...screen) {
	page.t.Helper()
	for _, lang := range []string{"zh-CN", "en"} {
		if js[string](page, `document.documentElement.lang`) != lang {
			js[bool](page, `document.querySelector("#lang").click() ?? true`)
			page.until(`document.documentElement.lang === $1`, lang)
		}
		for _, scheme := range []string{"light", "dark"} {
			for _, on := range append(more, phone, desktop) {
				page.show(on)
				page.keep(fmt.Sprintf("%s-%s-%s-%s", name, lang, scheme, on), page.screenshot(scheme))
			}
		}
	}
}

// screenshot returns the page in a colour scheme, as PNG. It checks that the page
// fits its screen and follows the scheme.
func (b *tab) screenshot(scheme string) []byte {
	b.t.Helper()
	send(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	b.fits()
	js[bool](b, `new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`)
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

// brightness returns the average brightness of the pixels, from 0 to 1. It looks at
// every third pixel of every third line.
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
