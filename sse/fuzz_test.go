package sse

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// chunks reads from data in pieces whose lengths depend on a seed.
type chunks struct {
	data []byte
	rand *rand.Rand
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.data) > 0 {
		p = p[:min(len(p), 1+c.rand.IntN(8))]
	}
	r := bytes.NewReader(c.data)
	n, err := r.Read(p)
	c.data = c.data[n:]
	return n, err
}

// FuzzDecode compares the decoder with the oracle, which follows the standard's text.
func FuzzDecode(f *testing.F) {
	for i, tt := range decodeTests {
		f.Add([]byte(tt.in), uint64(i))
	}
	f.Add([]byte("retry: 99999999999999999999\r\n:c\rretry:1\n\nid"), uint64(7))
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		got, err := decode(&chunks{in, rand.New(rand.NewPCG(seed, 0))})
		if want := standard(in); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\n got %#v, %v\nwant %#v", in, got, err, want)
		}
	})
}

// FuzzRoundTrip checks that encoded events are read back, apart from what the format
// cannot distinguish: line ends, and bytes that are not UTF-8.
func FuzzRoundTrip(f *testing.F) {
	for i, tt := range decodeTests {
		f.Add("", tt.in, "", uint64(i))
		for _, e := range tt.want {
			f.Add(e.Type, e.Data, e.ID, uint64(i))
		}
	}
	f.Add("message", "\r\n\r", "\x01", uint64(0))
	f.Fuzz(func(t *testing.T, typ, data, id string, seed uint64) {
		in, err := AppendEvent(nil, Event{typ, data, id})
		if err != nil {
			return
		}
		if typ == "" {
			typ = DefaultType
		}
		lines := strings.NewReplacer("\r\n", "\n", "\r", "\n")
		want := []Event{{standardUTF8([]byte(typ)), standardUTF8([]byte(lines.Replace(data))), standardUTF8([]byte(id))}}
		got, err := decode(&chunks{in, rand.New(rand.NewPCG(seed, 0))})
		if err != nil || !reflect.DeepEqual(got.Events, want) {
			t.Errorf("%q:\n got %+q, %v\nwant %+q", in, got.Events, err, want)
		}
	})
}
