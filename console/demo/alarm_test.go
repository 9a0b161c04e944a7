package demo

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func TestAlarmHysteresis(t *testing.T) {
	cpu := rule{"cpu", 3, [...]threshold{{}, {85, 75}, {97, 92}}}
	for _, test := range []struct {
		why    string
		values []float64
		want   string // sample:level>threshold of each alarm
	}{
		{"a quiet machine says nothing", []float64{0, 10, 84.9, 84.9, 84.9, 84.9}, ""},
		{"the mark itself counts", []float64{85, 85, 85}, "2:warning@85"},
		{"two samples are a peak, not a state", []float64{99, 99, 0, 99, 99, 0}, ""},
		{"one sample below the mark restarts the count", []float64{90, 90, 84, 90, 90, 90}, "5:warning@85"},
		{"said once while it stands", []float64{90, 90, 90, 90, 90, 90}, "2:warning@85"},
		{"a value near the mark does not flap", []float64{86, 86, 86, 84, 84, 84, 86, 86, 86, 84}, "2:warning@85"},
		{"the lower mark itself does not clear", []float64{90, 90, 90, 75, 75, 75, 75}, "2:warning@85"},
		{"cleared by three below the lower mark", []float64{90, 90, 90, 74, 74, 74}, "2:warning@85 5:ok@75"},
		{"one sample above the lower mark restarts that count", []float64{90, 90, 90, 74, 74, 80, 74, 74, 74}, "2:warning@85 8:ok@75"},
		{"critical at once when all samples were", []float64{98, 98, 98}, "2:critical@97"},
		{"warning, then critical", []float64{90, 98, 98, 98}, "2:warning@85 3:critical@97"},
		{"critical falls back to warning", []float64{98, 98, 98, 80, 80, 80}, "2:critical@97 5:warning@92"},
		{"critical holds between its marks", []float64{98, 98, 98, 93, 93, 93}, "2:critical@97"},
		{"from critical to nothing in one step", []float64{98, 98, 98, 5, 5, 5}, "2:critical@97 5:ok@75"},
		{"raised again after it was cleared", []float64{90, 90, 90, 5, 5, 5, 90, 90, 90}, "2:warning@85 5:ok@75 8:warning@85"},
	} {
		t.Run(test.why, func(t *testing.T) {
			w := newWatch(cpu)
			var got []string
			for i, v := range test.values {
				if a, ok := w.sample(time.Unix(int64(i), 0), v); ok {
					got = append(got, fmt.Sprintf("%d:%s@%v", i, a.Level, a.Threshold))
				}
			}
			if s := strings.Join(got, " "); s != test.want {
				t.Errorf("%v: %q, want %q", test.values, s, test.want)
			}
		})
	}
}

func TestStandingAlarmIsRepeated(t *testing.T) {
	w := newWatch(rule{"disk", 1, [...]threshold{{}, {95, 94}, {99, 98}}})
	var got []Alarm
	for i := range 150 {
		if a, ok := w.sample(time.Unix(int64(i), 0), 96); ok {
			got = append(got, a)
		}
	}
	if len(got) != 3 {
		t.Fatalf("%d alarms in 150 s, want 3: at its beginning and after each minute", len(got))
	}
	for i, a := range got {
		if a.Since != 0 || a.T != int64(i)*60_000 || a.Level != "warning" {
			t.Errorf("alarm %d: %+v", i, a)
		}
	}
}

// The page draws the thresholds at which alarms are raised.
func TestPageDrawsTheThresholds(t *testing.T) {
	script, err := os.ReadFile("monitoring/monitoring.js")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range hostRules()[:2] {
		mark := fmt.Sprintf(`marks: [{ at: %v, colour: "--warning" }]`, w.marks[levelWarning].raise)
		if !strings.Contains(string(script), mark) {
			t.Errorf("%s: monitoring.js lacks %s", w.metric, mark)
		}
	}
}
