package topic

import "testing"

func TestSelectorsMeet(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"users/{id}", "users/{name}", true},
		{"users/{id}", "{+x}", true},
		{"users/{id}", "{x}", false},
		{"users/{id}", "{x}/{y}", true},
		{"users/{id}", "users{/id}", true},
		{"users/{id}", "users/{id}/posts", false},
		{"users/{+id}", "users/{id}/posts", true},
		{"users/{id}", "orders/{id}", false},
		{"a{x}b", "a{x}c", false},
		{"{x}b", "b{x}", true},
		{"a{?q,r}", "a?q={v}", true},
		{"a{#x}", "a#b{+y}", true},
		{"a{.x}", "a.{y}", true},
		{"a", "a{x}", true},
		{"a", "b{x}", false},
		{"*", "b{x}", true},
	} {
		a, b := mustParse(t, tt.a), mustParse(t, tt.b)
		if a.Meets(&b) != tt.want || b.Meets(&a) != tt.want {
			t.Errorf("%q and %q: %v, %v; want %v", tt.a, tt.b, a.Meets(&b), b.Meets(&a), tt.want)
		}
	}
}

// FuzzSelectorsMeet checks that Meets is true of any two selectors that match the same
// topic.
func FuzzSelectorsMeet(f *testing.F) {
	for _, s := range [][3]string{{"users/{id}", "{+x}", "users/42"}, {"a{?q}", "a{#b}{c*}", "a"}, {"{/a,b}", "{;x}", "/1/2"}, {"{.x}", "{&y:3}", "&y=1"}} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, a, b, topic string) {
		x, err := Parse(a)
		y, err2 := Parse(b)
		if err != nil || err2 != nil {
			return
		}
		both := x.MatchTopic(topic) && y.MatchTopic(topic)
		if both && !x.Meets(&y) {
			t.Errorf("%q matches %q and %q", topic, a, b)
		}
		if x.Meets(&y) != y.Meets(&x) {
			t.Errorf("%q and %q meet one way only", a, b)
		}
	})
}
