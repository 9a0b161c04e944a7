package clients

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// A sight is an event that a client's handler got.
type sight struct{ Type, Data string }

// A listener is a client in one scenario, with the events that it has got.
type listener struct {
	client
	platform string
	hub      *hub
	topic    string

	mu    sync.Mutex
	seen  []sight
	stuck string // if not empty, what the test waited for in vain; it does not wait again
	said  string // a summary of seen, for the table
}

// url returns the URL of the listener's stream, under one of this machine's names.
func (l *listener) url(host string) string { return l.hub.url(host, "/events/"+l.topic) }

func (l *listener) saw(typ, data string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = append(l.seen, sight{typ, strings.TrimSpace(data)})
}

// has reports whether the listener has seen number n.
func (l *listener) has(n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.seen {
		if s.Data == strconv.Itoa(n) {
			return true
		}
	}
	return false
}

// judge reports whether the listener has seen each number once and in order, and
// nothing else except positions, if its client sees every type. It sets said.
func (l *listener) judge() (ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var numbers []int
	positions := 0
	others := map[string]int{}
	for _, s := range l.seen {
		n, err := strconv.Atoi(s.Data)
		switch {
		case err == nil && n <= last:
			numbers = append(numbers, n)
		case err == nil: // the event that marks the end
		case s == sight{"position", "{}"}:
			positions++
		default:
			others[fmt.Sprintf("%s %q", s.Type, s.Data)]++
		}
	}
	l.said, ok = "ok", true
	if runs := runs(numbers); runs != fmt.Sprint("1-", last) {
		l.said, ok = "saw "+runs, false
	}
	if positions > 0 {
		l.said += fmt.Sprint(" +", positions, " position")
		ok = ok && l.everyType
	}
	for other, n := range others {
		l.said += fmt.Sprintf(" +%d %s", n, other)
		ok = false
	}
	if l.stuck != "" {
		l.said += ", " + l.stuck
		ok = false
	}
	return ok
}

// runs writes 1 2 3 5 6 as 1-3 5-6.
func runs(numbers []int) string {
	var s strings.Builder
	for i, n := range numbers {
		switch {
		case i == 0:
			fmt.Fprint(&s, n)
		case n != numbers[i-1]+1:
			fmt.Fprint(&s, " ", n)
		case i == len(numbers)-1 || numbers[i+1] != n+1:
			fmt.Fprint(&s, "-", n)
		}
	}
	if s.Len() == 0 {
		return "nothing"
	}
	return s.String()
}
