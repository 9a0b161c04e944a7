package sse

import (
	"net/http"
	"strconv"
	"strings"
)

// Accepts reports whether r's Accept header allows an event stream: by name,
// by a wildcard, or by its absence (RFC 9110 §12.5.1). The most specific
// range decides, and a weight of 0 refuses.
func Accepts(r *http.Request) bool {
	values := r.Header.Values("Accept")
	if strings.Join(values, "") == "" {
		return true
	}
	best, allowed := -1, false
	for _, v := range values {
		for element := range strings.SplitSeq(v, ",") {
			name, params, _ := strings.Cut(element, ";")
			if s := specificity(strings.TrimSpace(name)); s > best {
				best, allowed = s, weight(params) > 0
			}
		}
	}
	return allowed
}

// specificity ranks the media ranges that cover an event stream; -1 does not.
func specificity(name string) int {
	switch {
	case strings.EqualFold(name, MediaType):
		return 2
	case strings.EqualFold(name, "text/*"):
		return 1
	case name == "*/*":
		return 0
	}
	return -1
}

func weight(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		k, v, _ := strings.Cut(strings.TrimSpace(p), "=")
		if !strings.EqualFold(k, "q") {
			continue
		}
		if q, err := strconv.ParseFloat(v, 64); err == nil {
			return q
		}
	}
	return 1
}
