// Package form parses application/x-www-form-urlencoded, the format of forms and queries
// (WHATWG URL §5.1).
package form

import (
	"net/url"
	"strings"
)

// Parse returns the pairs of a query, or of a form's body. Only & separates pairs. A
// semicolon is an ordinary character, as in the URL Standard and unlike in
// [url.ParseQuery].
//
// Unlike the standard, Parse returns an error for a percent sign without two hexadecimal
// digits, because the caller must have meant something else.
func Parse(text string) (url.Values, error) {
	return url.ParseQuery(strings.ReplaceAll(text, ";", "%3B"))
}
