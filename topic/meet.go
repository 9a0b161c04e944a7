package topic

import (
	"slices"
	"strings"
)

// Meets reports whether there may be a topic that both select. Between two URI Templates,
// an expression counts as any run of the characters that its operator allows (RFC 6570
// §3.2). So Meets may report true for templates that have no topic in common, such as two
// that take different numbers of values, but never false for templates that have one.
func (s *Selectors) Meets(other *Selectors) bool { return s.MeetsInTurns(other, func() {}) }

// MeetsInTurns does what Meets does, and calls look before each template that it compares.
func (s *Selectors) MeetsInTurns(other *Selectors, look func()) bool {
	if s.all || other.all {
		return true
	}
	if other.MatchInTurns(s.text, look) || s.MatchInTurns(other.text, look) {
		return true
	}
	for _, p := range s.templates {
		for _, q := range other.templates {
			if look(); runsMeet(runsOf(p.text), runsOf(q.text)) {
				return true
			}
		}
	}
	return false
}

// A templateRun is a literal byte of a template, or any number of the characters that an
// expression allows.
type templateRun struct {
	literal byte
	allowed string // "": a literal
}

const (
	unreserved = "%-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	reserved   = ":/?#[]@!$&'()*+,;="
)

func runsOf(template string) (runs []templateRun) {
	for template != "" {
		if template[0] != '{' {
			runs = append(runs, templateRun{literal: template[0]})
			template = template[1:]
			continue
		}
		expression, rest, _ := strings.Cut(template[1:], "}")
		allowed := unreserved + ",=" // ',' between values, and '=' after names
		switch operator := expression[0]; operator {
		case '+', '#':
			allowed = unreserved + reserved
		case '?':
			allowed += "?&"
		case '.', '/', ';', '&':
			allowed += string(operator)
		}
		runs = append(runs, templateRun{allowed: allowed})
		template = rest
	}
	return runs
}

// runsMeet reports whether some text matches both a and b, in time proportional to the
// product of their lengths. reached[j] says that some text leads to index i in a and to
// index j in b.
func runsMeet(a, b []templateRun) bool {
	reached := make([]bool, len(b)+1)
	next := make([]bool, len(b)+1)
	reached[0] = true
	for i := range len(a) + 1 {
		clear(next)
		for j := range len(b) + 1 {
			if !reached[j] {
				continue
			}
			inA, inB := i < len(a), j < len(b)
			switch {
			case inA && a[i].allowed != "" && (!inB || b[j].allowed != ""):
				next[j] = true // either expression may end here
				if inB {
					reached[j+1] = true
				}
			case inB && b[j].allowed != "":
				reached[j+1] = true
				if inA && strings.IndexByte(b[j].allowed, a[i].literal) >= 0 {
					next[j] = true
				}
			case inA && a[i].allowed != "":
				next[j] = true
				if strings.IndexByte(a[i].allowed, b[j].literal) >= 0 {
					reached[j+1] = true
				}
			case inA && inB && a[i].literal == b[j].literal:
				next[j+1] = true
			}
		}
		if i == len(a) {
			break
		}
		if !slices.Contains(next, true) { // the usual case: most pairs begin differently
			return false
		}
		reached, next = next, reached
	}
	return reached[len(b)]
}
