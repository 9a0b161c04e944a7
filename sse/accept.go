package sse

import (
	"iter"
	"net/http"
	"strconv"
	"strings"
)

// Accepts reports whether r's Accept header allows an event stream: by name,
// by a wildcard, or by its absence (RFC 9110 §12.5.1). The most specific
// range decides, and a weight of 0 refuses.
func Accepts(r *http.Request) bool {
	weight, _ := Accepted(r, MediaType)
	return weight > 0
}

// Accepted returns the weight, from 0 (not acceptable) to 1, that r's Accept header
// gives mediaType, which must be lower case. named reports whether the header names the
// type itself, and not only a wildcard that covers it. The most specific range decides;
// of several equally specific ones, the one with the highest weight (RFC 9110 §12.5.1).
// An invalid weight counts as 1, and so does an absent header.
func Accepted(r *http.Request, mediaType string) (weight float64, named bool) {
	values := r.Header.Values("Accept")
	if strings.Join(values, "") == "" {
		return 1, false
	}
	best := -1
	for _, v := range values {
		for element := range split(v, ',') {
			name, params, _ := strings.Cut(element, ";")
			s, q := specificity(strings.ToLower(strings.TrimSpace(name)), mediaType), qvalue(params)
			if s > best || s == best && s >= 0 && q > weight {
				best, weight = s, q
			}
		}
	}
	return weight, best == 2
}

// specificity returns how specifically the media range name covers mediaType: 2 by
// name, 1 by class/*, 0 by */*, and -1 not at all.
func specificity(name, mediaType string) int {
	class, _, _ := strings.Cut(mediaType, "/")
	switch name {
	case mediaType:
		return 2
	case class + "/*":
		return 1
	case "*/*":
		return 0
	}
	return -1
}

func qvalue(params string) float64 {
	for p := range split(params, ';') {
		k, v, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.TrimSpace(k), "q") {
			continue
		}
		if q, err := strconv.ParseFloat(strings.TrimSpace(v), 64); err == nil && q >= 0 && q <= 1 {
			return q
		}
	}
	return 1
}

// split yields the parts of s between separators. A separator inside a quoted-string
// does not separate (RFC 9110 §5.6.4).
func split(s string, separator byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		start, quoted := 0, false
		for i := 0; i < len(s); i++ {
			switch {
			case s[i] == '"':
				quoted = !quoted
			case quoted && s[i] == '\\':
				i++
			case !quoted && s[i] == separator:
				if !yield(s[start:i]) {
					return
				}
				start = i + 1
			}
		}
		yield(s[start:])
	}
}
