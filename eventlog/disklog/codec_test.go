package disklog

import (
	"reflect"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
)

func FuzzRecord(f *testing.F) {
	f.Add("t", "u", "price", "mine", "key", []byte("data"), int64(time.Second), true)
	f.Add("長い", "", "", "", "", []byte(nil), int64(0), false)
	f.Fuzz(func(t *testing.T, topic, second, typ, publisher, key string, data []byte, retry int64, private bool) {
		r := eventlog.Record{
			Topics: []string{topic, second}, Type: typ, PublisherID: publisher, Key: key,
			Data: data, Retry: time.Duration(retry), Private: private,
		}
		value := encode(&r)
		stamp(value, 1234567890)
		e, err := decode(value, eventlog.ID{Epoch: 1, Lo: 2})
		if err != nil {
			t.Fatal(err)
		}
		if e.Data == nil {
			e.Data = []byte{}
		}
		if r.Data == nil {
			r.Data = []byte{}
		}
		if want := (eventlog.Event{Record: r, ID: eventlog.ID{Epoch: 1, Lo: 2}, Time: time.Unix(0, 1234567890)}); !reflect.DeepEqual(*e, want) {
			t.Errorf("decoded %+v, encoded %+v", *e, want)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(&eventlog.Record{Topics: []string{"t"}, Data: []byte("data")}))
	f.Add(encode(&eventlog.Record{Topics: []string{"t", "u"}, Type: "price", Key: "k", PublisherID: "p", Retry: 5, Private: true}))
	f.Add(encode(tombstone(&eventlog.Record{PublisherID: "p"})))
	f.Add(encode(tombstone(&eventlog.Record{})))
	f.Add([]byte{kindEvent, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, value []byte) {
		_, _ = decodeTally(value)
		_ = new(state).decode(value)
		_ = new(meta).decode(value)
		e, err := decode(value, eventlog.ID{})
		if err != nil {
			return
		}
		again, err := decode(encode(&e.Record), e.ID)
		if err != nil || !reflect.DeepEqual(again.Record, e.Record) {
			t.Errorf("%x decodes to %+v, which is encoded as %+v (%v)", value, e.Record, again, err)
		}
	})
}

func TestDecodeRefuses(t *testing.T) {
	good := encode(&eventlog.Record{Topics: []string{"topic"}, Type: "type", Key: "key", PublisherID: "id"})
	for n := range good {
		if _, err := decode(good[:n], eventlog.ID{}); err == nil {
			t.Errorf("the first %d bytes of %d pass for an event", n, len(good))
		}
	}
	for _, tt := range []struct {
		why   string
		value []byte
	}{
		{"unknown kind", append([]byte{9}, good[1:]...)},
		{"a tombstone with content", append(encode(new(eventlog.Record)), 0)},
		{"a tombstone with more than a hash", append(encode(tombstone(&eventlog.Record{PublisherID: "id"})), 0)},
		{"no topics", append(make([]byte, valueHeader), 0, 0, 0, 0, 0, 0)},
	} {
		if _, err := decode(tt.value, eventlog.ID{}); err == nil {
			t.Errorf("%s: no error", tt.why)
		}
	}
}

func TestStateRefuses(t *testing.T) {
	good := state{origin: 10, last: 20, reserved: 30, events: 7, tombs: 3, bytes: 100, tallied: 15}
	if err := new(state).decode(good.encode()); err != nil {
		t.Error(err)
	}
	for why, change := range map[string]func(*state){
		"it ends before it begins":             func(s *state) { s.last, s.tallied = 9, 9 },
		"positions that were not reserved":     func(s *state) { s.reserved = 19 },
		"tallies of what is not there":         func(s *state) { s.tallied = 21 },
		"fewer than no events":                 func(s *state) { s.events = -1 },
		"fewer than no tombstones":             func(s *state) { s.tombs = -1 },
		"fewer than no bytes":                  func(s *state) { s.bytes = -1 },
		"more events than positions":           func(s *state) { s.events = 11 },
		"more, together with their tombstones": func(s *state) { s.events = 8 },
	} {
		s := good
		change(&s)
		if err := new(state).decode(s.encode()); err == nil {
			t.Errorf("%s: no error", why)
		}
	}
}
