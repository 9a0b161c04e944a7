package topic

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxBytes is the maximum length of a topic or a selector, in bytes.
const MaxBytes = 4 << 10

// An InvalidError says, in a sentence for the client, what is wrong with a topic, a record
// or a subscription.
type InvalidError struct{ Reason string }

func (e *InvalidError) Error() string { return e.Reason }

// Invalid returns an [InvalidError] with a formatted reason.
func Invalid(format string, args ...any) error {
	return &InvalidError{fmt.Sprintf(format, args...)}
}

// CheckTopic returns an [InvalidError] that says why t cannot be a topic or a selector, or
// nil. what names it in the reason, as in "a topic".
func CheckTopic(what, t string) error {
	switch {
	case t == "":
		return Invalid("%s must not be empty", what)
	case len(t) > MaxBytes:
		return Invalid("%s may be %d bytes long, not %d", what, MaxBytes, len(t))
	case !utf8.ValidString(t):
		return Invalid("%s must be valid UTF-8", what)
	}
	return nil
}

// Cut shortens a client's text to 128 bytes for an error message.
func Cut(s string) string {
	if len(s) <= 128 {
		return s
	}
	return strings.ToValidUTF8(s[:128], "") + "…"
}
