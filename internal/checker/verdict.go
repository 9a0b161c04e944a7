//go:build linux

package main

import (
	"slices"
	"sort"
)

// A verdict counts what is wrong with what subscribers got.
type verdict struct {
	Lost      int // expected and never seen
	Doubled   int // seen again
	Reordered int // seen after what it comes before
	Foreign   int // seen though not expected
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

// compare judges what was seen by what was expected: numbers in order, and
// others whose order is not known. No number is expected twice.
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

// A sequence is compare for what is known beforehand and ascends: one
// publisher's events, of which there may be too many to keep what was seen.
type sequence struct {
	expected []uint32 // what is still to come; shared, never written to
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
	// It was passed over or seen before, or was never asked for: the three
	// cannot be told apart any more, and none may be.
	s.Doubled++
}

// end notes what did not come up to and including the last.
func (s *sequence) end(last uint32) {
	s.Lost += sort.Search(len(s.expected), func(i int) bool { return s.expected[i] > last })
}

// ascending returns the numbers from first on, so many.
func ascending(first, n int) []uint32 {
	s := make([]uint32, n)
	for i := range s {
		s[i] = uint32(first + i)
	}
	return s
}
