//go:build linux

package main

import (
	"slices"
	"sort"
)

// A verdict counts what is wrong with the events that subscribers received.
type verdict struct {
	Lost      int // expected but not received
	Doubled   int // received again
	Reordered int // received after a later event
	Foreign   int // received but not expected
	Torn      int
	Gaps      int
}

func (v *verdict) add(o verdict) {
	v.Lost += o.Lost
	v.Doubled += o.Doubled
	v.Reordered += o.Reordered
	v.Foreign += o.Foreign
	v.Torn += o.Torn
	v.Gaps += o.Gaps
}

func (v *verdict) report(r *report) {
	r.zero("lost", v.Lost)
	r.zero("doubled", v.Doubled)
	r.zero("out of order", v.Reordered)
	r.zero("not asked for", v.Foreign)
	r.zero("torn", v.Torn)
	r.zero("gaps", v.Gaps)
}

// compare judges the numbers that were seen. expected is in order, the order of
// unordered is unknown, and no number is expected twice.
func compare(expected, unordered, seen []number) (v verdict) {
	if len(unordered) == 0 && slices.Equal(expected, seen) {
		return v
	}
	rank := make(map[number]int, len(expected))
	for i, n := range expected {
		rank[n] = i
	}
	const anywhere = -1
	for _, n := range unordered {
		rank[n] = anywhere
	}
	had := make(map[number]bool, len(seen))
	furthest := 0
	for _, n := range seen {
		at, asked := rank[n]
		switch {
		case !asked:
			v.Foreign++
		case had[n]:
			v.Doubled++
		case at == anywhere:
		case at < furthest:
			v.Reordered++
		default:
			furthest = at
		}
		had[n] = true
	}
	for n := range rank {
		if !had[n] {
			v.Lost++
		}
	}
	return v
}

// A sequence is like compare for ascending numbers that are known beforehand: one
// publisher's events, of which there may be too many to keep all that were seen.
type sequence struct {
	expected []uint32 // still to come; shared, so never modified
	verdict
}

func (s *sequence) see(seq uint32) {
	if len(s.expected) > 0 && s.expected[0] == seq {
		s.expected = s.expected[1:]
		return
	}
	i := sort.Search(len(s.expected), func(i int) bool { return s.expected[i] >= seq })
	if i < len(s.expected) && s.expected[i] == seq {
		s.Lost += i
		s.expected = s.expected[i+1:]
		return
	}
	// The number was skipped or seen before, or was not asked for. These can no longer
	// be told apart, and none is allowed.
	s.Doubled++
}

// end counts as lost all expected numbers up to last, inclusive.
func (s *sequence) end(last uint32) {
	s.Lost += sort.Search(len(s.expected), func(i int) bool { return s.expected[i] > last })
}

// ascending returns n numbers, ascending from first.
func ascending(first, n int) []uint32 {
	s := make([]uint32, n)
	for i := range s {
		s[i] = uint32(first + i)
	}
	return s
}
