package deliver

import (
	"sync"
	"time"
)

// breaker stops a target that is unusable as a whole or asks for less. It opens
// for longer each time, up to five minutes; then one call at a time looks
// whether the target is back.
type breaker struct {
	first time.Duration       // for the first time it opens
	pause func(time.Duration) // of the lanes
	show  func(open bool)     // metrics

	mu      sync.Mutex
	opens   int       // in a row; 0: closed
	until   time.Time // the opening holds until then
	paused  time.Time // the lanes pause until then, whoever asked
	probing bool
}

const breakerLimit = 5 * time.Minute

// open stops the target and says for how long.
func (b *breaker) open() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if now.Before(b.until) {
		return b.until.Sub(now) // others that were in flight found the same
	}
	b.opens++
	wait := backoff(b.first, b.opens, breakerLimit)
	b.until = now.Add(wait)
	b.show(true)
	b.stop(now, wait)
	return wait
}

// throttleLimit bounds what a target may ask for: a mistaken Retry-After would
// stop it for years. After it one call looks.
const throttleLimit = time.Hour

// throttle pauses as long as the target asks, and tells for how long. One that
// says "at once" right after it said "too much" is given a second.
func (b *breaker) throttle(wait time.Duration) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	wait = min(max(wait, time.Second), throttleLimit)
	b.stop(time.Now(), wait)
	return wait
}

// stop pauses the lanes, never for less than somebody asked before.
func (b *breaker) stop(now time.Time, wait time.Duration) {
	if end := now.Add(wait); end.After(b.paused) {
		b.paused = end
		b.pause(wait)
	}
}

// enter asks to make a call. In a pause there is none, and while the breaker is
// not closed one at a time. leave ends the call.
func (b *breaker) enter() (leave func(), ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch now := time.Now(); {
	case now.Before(b.paused): // who waited for the rate has left the lanes
		return nil, false
	case b.opens == 0:
		return func() {}, true
	case b.probing || now.Before(b.until):
		return nil, false
	}
	b.probing = true
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.probing = false
	}, true
}

// close says that the target answered.
func (b *breaker) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.opens > 0 {
		b.opens, b.until = 0, time.Time{}
		b.show(false)
	}
}
