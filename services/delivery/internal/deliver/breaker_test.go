package deliver

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestAnAbsurdRetryAfter: a target that asks for years is looked at after an hour.
func TestAnAbsurdRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var paused time.Duration
		b := breaker{pause: func(d time.Duration) { paused = d }}
		if wait := b.throttle(200 * 365 * 24 * time.Hour); wait != time.Hour || paused != time.Hour {
			t.Errorf("waits %s, the lanes pause %s", wait, paused)
		}
		time.Sleep(time.Hour - time.Second)
		if _, ok := b.enter(); ok {
			t.Error("called within the hour")
		}
		time.Sleep(time.Second)
		if _, ok := b.enter(); !ok {
			t.Error("not called after an hour")
		}
	})
}
