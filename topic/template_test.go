package topic

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/yosida95/uritemplate/v3"
)

// randomTemplate returns a template of few different characters, so that random topics of
// the same characters sometimes match.
func randomTemplate(rng *rand.Rand) string {
	var b strings.Builder
	for range 1 + rng.IntN(3) {
		b.WriteString(randomText(rng, []string{"a", "/", ".", ";", "&", "?", "%41", "é"}, 1))
		b.WriteString("{" + []string{"", "", "+", "#", ".", "/", ";", "?", "&"}[rng.IntN(9)])
		for i := range 1 + rng.IntN(3) {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString([]string{"x", "yy", "z*", "w:3"}[rng.IntN(4)])
		}
		b.WriteByte('}')
	}
	return b.String() + randomText(rng, []string{"a", "/", "="}, 2)
}

func randomText(rng *rand.Rand, from []string, most int) string {
	var b strings.Builder
	for range rng.IntN(most + 1) {
		b.WriteString(from[rng.IntN(len(from))])
	}
	return b.String()
}

// sameAsRegexp checks that a compiled template and its regular expression agree on a
// topic, and returns their answer.
func sameAsRegexp(t *testing.T, template string, re *regexp.Regexp, topic string) bool {
	t.Helper()
	p, err := parseTemplate(template)
	if err != nil {
		t.Fatal(err)
	}
	want := re.MatchString(topic)
	if got := p.Match(topic); got != want {
		t.Fatalf("%q matches %q: %v; its regular expression: %v", template, topic, got, want)
	}
	if again, err := parseTemplate(p.text); err != nil || again.text != p.text {
		t.Fatalf("%q is %q without names, which is another template", template, p.text)
	}
	return want
}

// TestTemplatesMatchLikeRegexps compares templates with the regular expressions of
// uritemplate.
func TestTemplatesMatchLikeRegexps(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	alphabet := []string{"a", "a", "/", ".", ",", ";", "&", "?", "=", "#", "%41", "%4", "%", "é", "x=", "!"}
	matched := 0
	for range 1000 {
		template := randomTemplate(rng)
		u := uritemplate.MustNew(template)
		for range 30 {
			if sameAsRegexp(t, template, u.Regexp(), randomText(rng, alphabet, 8)) {
				matched++
			}
		}
		values := uritemplate.Values{}
		values.Set("x", uritemplate.String(randomText(rng, alphabet, 3)))
		values.Set("yy", uritemplate.List("a", randomText(rng, alphabet, 3)))
		values.Set("z", uritemplate.KV("a", "b", "c", randomText(rng, alphabet, 3)))
		if topic, err := u.Expand(values); err == nil && sameAsRegexp(t, template, u.Regexp(), topic) {
			matched++
		}
	}
	if matched < 1000 {
		t.Errorf("%d pairs match, too few to show much", matched)
	}
}

// TestTemplatesMatchLongTopics matches topics with more places than fit into one word, or
// into the buffer for topics that can be published.
func TestTemplatesMatchLongTopics(t *testing.T) {
	for _, n := range []int{60, 63, 64, 65, 127, 128, 129, MaxBytes - 2, MaxBytes, 3 * MaxBytes} {
		for _, topic := range []string{strings.Repeat("a", n), strings.Repeat("a/", n/2), strings.Repeat("%41", n/3), strings.Repeat("é", n/2)} {
			for _, template := range []string{"{x}", "{+x}", "a{x}a", "{/x*}", "{x}aa{y}", "{+x}/a{y}", "{x}{/y*}", "{+x}aaaa{+y}/a/", "é{x}"} {
				sameAsRegexp(t, template, uritemplate.MustNew(template).Regexp(), topic)
			}
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range [][2]string{
		{"https://shop.example/orders/{id}", "https://shop.example/orders/42"}, {"{+x}/{y}", "a/b/c"}, {"{x}%41{y}", "%41%41"},
		{"{/a,b}", "/1/2"}, {"{;x,y*}", ";x=1;y"}, {"{?q,r}{&s*}", "?q=1&r=2&s"}, {"{.x,y}", ".1.2"}, {"{#a,b*}", "#1,2"}, {"{x,y*}", "a,b=c"}, {"", ""}, {"a", "a"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, template, topic string) {
		if len(template) > 100 || len(topic) > 200 {
			return // the regular expression takes too long
		}
		if _, err := parseTemplate(template); err != nil || !utf8.ValidString(topic) {
			return
		}
		sameAsRegexp(t, template, uritemplate.MustNew(template).Regexp(), topic)
	})
}

// TestTemplatesAreLinear matches a template close to the limits against a long topic that
// keeps every expression busy. One match must take at most 50 ms.
func TestTemplatesAreLinear(t *testing.T) {
	template := "{/a,b,c,d,e,f,g,h,i,j,k}{+l}a{m}a{+n}"
	p, err := parseTemplate(template)
	if err != nil {
		t.Fatal(err)
	}
	topic := strings.Repeat("/a", MaxBytes/2-1) + "\x01"
	start := time.Now()
	const times = 20
	for range times {
		if p.Match(topic) {
			t.Fatal("it matches")
		}
	}
	took := time.Since(start) / times
	t.Logf("%d passes over %d bytes take %v", p.Cost, len(topic), took)
	if took > 50*time.Millisecond {
		t.Errorf("one match takes %v", took)
	}
}

// TestEqualTemplates checks that templates that differ only in the names of their
// variables count as one.
func TestEqualTemplates(t *testing.T) {
	a, b := mustParse(t, "shared/{id}/{+rest}"), mustParse(t, "shared/{order}/{+more}", "shared/{id}/{+rest}")
	if len(b.templates) != 1 || a.templates[0].Text() != b.templates[0].Text() || !a.Covers(&b, func() {}) {
		t.Error("they differ")
	}
	own := b.templates[0]
	c := b
	b.ShareTemplates(func(*Template) *Template { return a.templates[0] })
	if b.templates[0] != a.templates[0] || c.templates[0] != own {
		t.Error("they are not shared, or copies are")
	}
}

func mustParse(t *testing.T, texts ...string) Selectors {
	t.Helper()
	s, err := Parse(texts...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
