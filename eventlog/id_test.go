package eventlog

import (
	"math"
	"regexp"
	"testing"
)

func TestIDText(t *testing.T) {
	shape := regexp.MustCompile(`^_[a-z0-9-]{3,39}$`)
	for _, id := range []ID{
		{Epoch: 1},
		{Epoch: 1, Lo: 35},
		{Epoch: NewEpoch(), Lo: 12345},
		{Epoch: maxEpoch, Hi: math.MaxUint64, Lo: math.MaxUint64},
	} {
		s := id.String()
		if !shape.MatchString(s) {
			t.Errorf("%+v has the text %q, which is not an id of a hub", id, s)
		}
		if got, err := ParseID(s); err != nil || got != id {
			t.Errorf("ParseID(%q) = %+v, %v; want %+v", s, got, err, id)
		}
	}
}

func TestParseIDRefuses(t *testing.T) {
	for _, tt := range []struct{ why, in string }{
		{"empty", ""},
		{"a publisher's id", "order-42"},
		{"no prefix", "1-2"},
		{"prefix alone", "_"},
		{"no position", "_1"},
		{"too many parts", "_1-2-3-4"},
		{"empty part", "_1-"},
		{"sign", "_1-+2"},
		{"upper case, a second text for one position", "_A-1"},
		{"leading zero, likewise", "_1-01"},
		{"zero Hi, likewise", "_1-1-0"},
		{"epoch out of range", "_zzzzzzzzzzz-1"},
		{"position out of range", "_1-zzzzzzzzzzzzz"},
		{"trailing space", "_1-2 "},
		{"NUL", "_1-2\x00"},
	} {
		if id, err := ParseID(tt.in); err == nil {
			t.Errorf("%s: ParseID(%q) = %+v; want an error", tt.why, tt.in, id)
		}
	}
}

func TestPrev(t *testing.T) {
	for _, tt := range []struct{ in, want ID }{
		{ID{1, 0, 5}, ID{1, 0, 4}},
		{ID{1, 7, 0}, ID{1, 6, math.MaxUint64}},
	} {
		if got := tt.in.Prev(); got != tt.want || got.Compare(tt.in) >= 0 {
			t.Errorf("%+v.Prev() = %+v; want %+v", tt.in, got, tt.want)
		}
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("_1-2")
	f.Add("_zz-1-9")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseID(s); err == nil && id.String() != s {
			t.Errorf("ParseID(%q).String() = %q", s, id)
		}
	})
}
