package httpx

import (
	"context"
	"time"
)

// WaitOut returns when window has passed since a moment, so that a search that
// lags behind writes has caught up. It waits at most window on the real clock,
// however far the account's clock is from it; an ended context ends it with a
// Transient fault.
func WaitOut(ctx context.Context, since time.Time, window time.Duration, now func() time.Time) error {
	if since.IsZero() {
		return nil
	}
	left := min(since.Add(window).Sub(now()), window)
	if left <= 0 {
		return nil
	}
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return network(ctx, ctx.Err())
	}
}
