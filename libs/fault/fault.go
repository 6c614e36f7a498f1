// Package fault says what an error means for the work that met it.
//
// A payroll API answers 503, 429, 401 or 422: retrying, waiting, calling a
// person and parking are different things, and nobody should parse text to
// choose. Connectors return an [Error]; the lanes act on its [Class].
package fault

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
)

// Class answers "what now?". An unclassified error is late, never lost.
type Class int

// The five answers.
const (
	Transient Class = iota // try again with backoff
	Throttled              // try again after the delay the other side named
	Record                 // this employee is wrong: bury it for a person, others go on
	Target                 // the target is unusable (credential, outage): stop it, keep everything
	Done                   // already as wanted: a success in an error's clothes
)

// String is the word used in metrics, outcomes and the API.
func (c Class) String() string {
	switch c {
	case Transient:
		return "transient"
	case Throttled:
		return "throttled"
	case Record:
		return "record"
	case Target:
		return "target"
	case Done:
		return "done"
	}
	return "unknown"
}

// Error is an error with its consequence. Its text never holds values of a
// person: Reason is short and countable, Path names a field, not its content.
type Error struct {
	Class  Class
	Reason string        // short and countable: "auth", "schema", "rate_limited"
	Path   string        // JSON path of the field at fault, if one is known
	Rule   string        // the mapping rule or vendor error code that refused
	After  time.Duration // when Throttled: how long to wait
	Err    error
}

// Error prints class, reason and place.
func (e *Error) Error() string {
	s := e.Class.String() + ": " + e.Reason
	if e.Path != "" {
		s += " at " + e.Path
	}
	if e.Rule != "" {
		s += " (" + e.Rule + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// New makes an error of class c with a countable reason and a formatted cause.
func New(c Class, reason, format string, args ...any) *Error {
	return &Error{Class: c, Reason: reason, Err: fmt.Errorf(format, args...)}
}

// Of finds the classified error in a chain. An error that nobody classified is
// Transient with the reason "unclassified"; a deadline is Transient "timeout".
// Of(nil) is nil.
func Of(err error) *Error {
	if err == nil {
		return nil
	}
	if f, ok := errors.AsType[*Error](err); ok {
		return f
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &Error{Class: Transient, Reason: "timeout", Err: err}
	}
	return &Error{Class: Transient, Reason: "unclassified", Err: err}
}

// Reason is the countable word for an outcome: "ok" for nil.
func Reason(err error) string {
	if err == nil {
		return "ok"
	}
	return Of(err).Reason
}

// FromStatus classifies an HTTP answer of a vendor that documents nothing
// better (RFC 9110 section 15). Success gives nil. The delay of a 429 or 503
// is read from Retry-After in seconds or as a date relative to now.
func FromStatus(status int, h http.Header, now time.Time) *Error {
	switch {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusTooManyRequests:
		return &Error{Class: Throttled, Reason: "rate_limited", After: RetryAfter(h, now, time.Second), Err: statusError(status)}
	case status == http.StatusServiceUnavailable && h.Get("Retry-After") != "":
		return &Error{Class: Throttled, Reason: "unavailable", After: RetryAfter(h, now, time.Second), Err: statusError(status)}
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return &Error{Class: Target, Reason: "auth", Err: statusError(status)}
	case status == http.StatusRequestTimeout || status == http.StatusTooEarly || status >= 500:
		return &Error{Class: Transient, Reason: "status_" + strconv.Itoa(status), Err: statusError(status)}
	}
	return &Error{Class: Record, Reason: "status_" + strconv.Itoa(status), Err: statusError(status)}
}

// RetryAfter reads the header of that name (RFC 9110 section 10.2.3), or
// gives fallback when it is missing or unreadable. Never negative.
func RetryAfter(h http.Header, now time.Time, fallback time.Duration) time.Duration {
	const longest = math.MaxInt64 / int64(time.Second) // seconds; more would come round to a wait of nothing
	v := h.Get("Retry-After")
	if s, err := strconv.ParseInt(v, 10, 64); err == nil && s >= 0 {
		return time.Duration(min(s, longest)) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, t.Sub(now))
	}
	return fallback
}

func statusError(status int) error {
	return fmt.Errorf("answered %d %s", status, http.StatusText(status))
}
