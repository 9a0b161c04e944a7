// Package form parses what forms and queries are written in,
// application/x-www-form-urlencoded (WHATWG URL §5.1).
package form

import (
	"net/url"
	"strings"
)

// Parse returns the pairs of a query, or of a form's body. Pairs are separated
// by & alone: a semicolon is a character like others, as the URL Standard has it
// and [url.ParseQuery] does not.
//
// Unlike the standard, Parse refuses a percent sign that two hexadecimal digits
// do not follow: the caller meant something else than it wrote.
func Parse(text string) (url.Values, error) {
	return url.ParseQuery(strings.ReplaceAll(text, ";", "%3B"))
}
