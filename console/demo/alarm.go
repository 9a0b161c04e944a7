package demo

import "time"

// The levels of an alarm, in ascending order.
const (
	levelOK = iota
	levelWarning
	levelCritical
)

var levelNames = [...]string{"ok", "warning", "critical"}

// alarmRepeat is how often an active alarm is published again, so that a later
// subscriber, which asks for the last two minutes, receives it.
const alarmRepeat = time.Minute

// An Alarm reports that a metric has crossed a threshold, has returned to normal ("ok"),
// or is still at the same level.
type Alarm struct {
	T         int64   `json:"t"`
	Metric    string  `json:"metric"`    // cpu, memory or disk
	Level     string  `json:"level"`     // ok, warning or critical
	Value     float64 `json:"value"`     // percent
	Threshold float64 `json:"threshold"` // the threshold that was crossed, in percent
	Since     int64   `json:"since"`     // when this level began, Unix milliseconds
}

// A threshold raises a level at one value and clears it below a lower one, so that a value
// near the threshold does not make the level flap.
type threshold struct{ raise, clear float64 }

// A rule watches one metric. A threshold is crossed when hold samples in a row are beyond
// it.
type rule struct {
	metric string
	hold   int
	marks  [levelCritical + 1]threshold // marks[levelOK] is unused
}

func hostRules() []*watch {
	return []*watch{
		newWatch(rule{"cpu", 3, [...]threshold{{}, {85, 75}, {97, 92}}}),
		newWatch(rule{"memory", 3, [...]threshold{{}, {90, 87}, {97, 95}}}),
		newWatch(rule{"disk", 3, [...]threshold{{}, {95, 94}, {99, 98.5}}}),
	}
}

// A watch is the state of a rule.
type watch struct {
	rule
	level     int
	above     [levelCritical + 1]int // samples in a row at or above raise
	below     [levelCritical + 1]int // samples in a row below clear
	threshold float64
	since     time.Time
	published time.Time
}

func newWatch(r rule) *watch { return &watch{rule: r} }

// sample takes the next value. It reports whether there is an alarm to publish.
func (w *watch) sample(now time.Time, value float64) (Alarm, bool) {
	was := w.level
	for l := levelWarning; l <= levelCritical; l++ {
		w.above[l] = count(w.above[l], value >= w.marks[l].raise)
		w.below[l] = count(w.below[l], value < w.marks[l].clear)
	}
	for w.level > levelOK && w.below[w.level] >= w.hold {
		w.threshold = w.marks[w.level].clear
		w.level--
	}
	for l := w.level + 1; l <= levelCritical; l++ {
		if w.above[l] >= w.hold {
			w.level, w.threshold = l, w.marks[l].raise
		}
	}
	switch {
	case w.level != was:
		w.since = now
	case w.level == levelOK || now.Sub(w.published) < alarmRepeat:
		return Alarm{}, false
	}
	w.published = now
	return Alarm{
		T:         now.UnixMilli(),
		Metric:    w.metric,
		Level:     levelNames[w.level],
		Value:     round(value, 1),
		Threshold: w.threshold,
		Since:     w.since.UnixMilli(),
	}, true
}

func count(n int, more bool) int {
	if more {
		return n + 1
	}
	return 0
}
