package eventlog_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/tidings-sse/tidings/eventlog"
)

var uuid8 = regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestURN(t *testing.T) {
	for _, id := range []eventlog.ID{
		{Epoch: 1, Lo: 0}, {Epoch: 1<<48 - 1, Lo: 1}, {Epoch: 0x123456789abc, Lo: 1<<64 - 1}, {Epoch: 7, Lo: 1 << 63},
		{Epoch: 5, Hi: 1, Lo: 0}, {Epoch: 5, Hi: 1<<10 - 1, Lo: 1<<63 - 1}, {Epoch: 5, Hi: 2, Lo: 12<<16 | 1},
	} {
		got, err := eventlog.ParseURN(id.URN())
		if err != nil || got != id || !uuid8.MatchString(id.URN()) {
			t.Errorf("%+v is %s, which is %+v, %v", id, id.URN(), got, err)
		}
	}
	for _, id := range []eventlog.ID{{Epoch: 1, Hi: 1 << 10}, {Epoch: 1, Hi: 1, Lo: 1 << 63}} {
		if got, err := eventlog.ParseID(id.URN()); err != nil || got != id {
			t.Errorf("%+v does not fit, and is %s", id, id.URN())
		}
	}
	good := eventlog.ID{Epoch: 77, Lo: 99}.URN()
	for why, s := range map[string]string{
		"nothing":             "",
		"no prefix":           good[9:],
		"capitals":            strings.ToUpper(good),
		"a random one":        "urn:uuid:0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b",
		"by time":             "urn:uuid:0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b",
		"bits that we leave":  "urn:uuid:0190a1b2-c3d4-8004-8a6b-7c8d9e0f1a2b",
		"another variant":     good[:28] + "c" + good[29:],
		"hyphens elsewhere":   strings.Replace(good, "-", "", 1) + "-",
		"too long":            good + "0",
		"digits for hyphens":  "urn:uuid:" + strings.Repeat("0", 36),
		"no hexadecimal":      good[:44] + "g",
		"a hi that is zero":   "urn:uuid:00000000-004d-8800-8000-000000000063",
		"the other text form": eventlog.ID{Epoch: 77, Lo: 99}.String(),
	} {
		if id, err := eventlog.ParseURN(s); err == nil {
			t.Errorf("%s: %s is %+v", why, s, id)
		}
	}
}

func FuzzParseURN(f *testing.F) {
	f.Add(eventlog.ID{Epoch: 77, Lo: 99}.URN())
	f.Add(eventlog.ID{Epoch: 5, Hi: 3, Lo: 12}.URN())
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := eventlog.ParseURN(s); err == nil && id.URN() != s {
			t.Errorf("%s is read as %s", s, id.URN())
		}
	})
}
