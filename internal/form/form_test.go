package form

import (
	"net/url"
	"reflect"
	"testing"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		why, text string
		want      url.Values // nil: Parse returns an error
	}{
		{"nothing", "", url.Values{}},
		{"a semicolon in a value", "topic=https://shop.example/a;v=1", url.Values{"topic": {"https://shop.example/a;v=1"}}},
		{"and in a name", "a;b=1&;", url.Values{"a;b": {"1"}, ";": {""}}},
		{"an escaped one", "a=%3B;", url.Values{"a": {";;"}}},
		{"names that stand twice, in order", "a=1&b=2&a=3", url.Values{"a": {"1", "3"}, "b": {"2"}}},
		{"no value, no name, no pair", "a&=b&&", url.Values{"a": {""}, "": {"b"}}},
		{"a second equals sign", "a=b=c", url.Values{"a": {"b=c"}}},
		{"a plus is a space", "a+b=c+d%2B", url.Values{"a b": {"c d+"}}},
		{"a percent sign that escapes nothing", "a=100%", nil},
		{"one before what is not hexadecimal", "a=%zz", nil},
	} {
		got, err := Parse(tt.text)
		if (err != nil) != (tt.want == nil) || err == nil && !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: Parse(%q) = %v, %v; want %v", tt.why, tt.text, got, err, tt.want)
		}
	}
}
