package fault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"
)

func TestFromStatus(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		status     int
		retryAfter string
		class      Class
		after      time.Duration
	}{
		{429, "7", Throttled, 7 * time.Second}, {429, "", Throttled, time.Second}, {429, "9223372037", Throttled, 9223372036 * time.Second}, {429, "18446744074", Throttled, 9223372036 * time.Second}, {503, "Sun, 01 Mar 2026 12:01:00 GMT", Throttled, time.Minute},
		{429, "Sun, 01 Mar 2026 11:00:00 GMT", Throttled, 0}, {503, "", Transient, 0}, {500, "", Transient, 0}, {408, "", Transient, 0},
		{401, "", Target, 0}, {403, "", Target, 0}, {400, "", Record, 0}, {404, "", Record, 0}, {409, "", Record, 0}, {422, "", Record, 0},
	} {
		h := http.Header{}
		if c.retryAfter != "" {
			h.Set("Retry-After", c.retryAfter)
		}
		f := FromStatus(c.status, h, now)
		if f.Class != c.class || f.After != c.after || f.Reason == "" {
			t.Errorf("%d %q: class %s, after %s, reason %q", c.status, c.retryAfter, f.Class, f.After, f.Reason)
		}
	}
	if f := FromStatus(204, http.Header{}, now); f != nil {
		t.Errorf("204 is a fault: %v", f)
	}
}

func TestOfFindsTheClassInAChain(t *testing.T) {
	inner := &Error{Class: Record, Reason: "schema", Path: "$.a", Rule: "b"}
	if got := Of(fmt.Errorf("apply: %w", inner)); got != inner {
		t.Errorf("Of = %v", got)
	}
	if got := Of(errors.New("?")); got.Class != Transient || got.Reason != "unclassified" {
		t.Errorf("an unknown error is %v", got)
	}
	if got := Of(context.DeadlineExceeded); got.Reason != "timeout" {
		t.Errorf("a deadline is %v", got)
	}
	if Of(nil) != nil || Reason(nil) != "ok" {
		t.Error("no error is an error")
	}
}
