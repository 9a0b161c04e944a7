package auth

import (
	"fmt"
	"net/http"
)

// An Error says why a request is refused: the caller what to send, and the
// operator's log the cause.
type Error struct {
	Status int    // 400, 401, 403 or 429
	Code   string // of RFC 6750 §3.1, or "" where no token was sent
	Detail string // a sentence for the caller
	Cause  error  // for the log alone; nil if Detail says it all

	// Revoked says that coming back is of no use.
	Revoked bool
}

func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Detail
	}
	return e.Detail + " " + e.Cause.Error()
}

func (e *Error) Unwrap() error { return e.Cause }

// Challenge is the WWW-Authenticate that goes with a 401 or a 403, or "" (RFC
// 6750 §3).
func (e *Error) Challenge() string {
	switch {
	case e.Status == http.StatusBadRequest, e.Status == http.StatusTooManyRequests:
		return ""
	case e.Code == "":
		return `Bearer realm="tidings"`
	}
	return fmt.Sprintf(`Bearer realm="tidings", error="%s"`, e.Code) // the body has the sentence
}

func noToken() *Error {
	return &Error{Status: http.StatusUnauthorized, Detail: "Send a token: Authorization: Bearer TOKEN, or the cookie that this hub reads."}
}

func notAccepted(detail string, cause error) *Error {
	return &Error{Status: http.StatusUnauthorized, Code: "invalid_token", Detail: detail, Cause: cause}
}

func revokedError() *Error {
	e := notAccepted("The token was revoked.", nil)
	e.Revoked = true
	return e
}

// Forbidden is for a token that is good, but not for this.
func Forbidden(detail string) *Error {
	return &Error{Status: http.StatusForbidden, Code: "insufficient_scope", Detail: detail}
}

func badRequest(detail string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "invalid_request", Detail: detail}
}
