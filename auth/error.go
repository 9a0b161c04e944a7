package auth

import (
	"fmt"
	"net/http"
)

// An Error is why a request is refused. Detail is for the caller, Cause for the
// operator's log.
type Error struct {
	Status int    // 400, 401, 403 or 429
	Code   string // of RFC 6750 §3.1, or "" if no token was sent
	Detail string // a sentence for the caller
	Cause  error  // for the log only; nil if Detail says everything

	// Revoked reports that the token was revoked, so that retrying is pointless.
	Revoked bool
}

func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Detail
	}
	return e.Detail + " " + e.Cause.Error()
}

func (e *Error) Unwrap() error { return e.Cause }

// Challenge returns the WWW-Authenticate header for a 401 or a 403, or "" for another
// status (RFC 6750 §3).
func (e *Error) Challenge() string {
	switch {
	case e.Status == http.StatusBadRequest, e.Status == http.StatusTooManyRequests:
		return ""
	case e.Code == "":
		return `Bearer realm="tidings"`
	}
	return fmt.Sprintf(`Bearer realm="tidings", error="%s"`, e.Code) // the body has Detail
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

// Forbidden returns the error for a valid token that does not allow the request.
func Forbidden(detail string) *Error {
	return &Error{Status: http.StatusForbidden, Code: "insufficient_scope", Detail: detail}
}

func badRequest(detail string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "invalid_request", Detail: detail}
}
