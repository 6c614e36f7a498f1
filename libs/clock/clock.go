// Package clock is the time of day as the services see it. In production it is
// the machine's; under `muster up --sandbox` it can be moved forward, so that a
// start date in a week can be shown today.
package clock

import (
	"sync"
	"time"
)

// Clock tells the time.
type Clock interface {
	Now() time.Time
}

// System is the machine's clock, in UTC.
type System struct{}

// Now is the machine's time in UTC.
func (System) Now() time.Time { return time.Now().UTC() }

// Movable runs like the machine's clock with an offset that only grows. The
// zero value is ready.
type Movable struct {
	mu      sync.Mutex
	offset  time.Duration
	changed chan struct{}
}

// Now is the moved time in UTC.
func (m *Movable) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Now().UTC().Add(m.offset)
}

// Set moves the clock forward to t and reports whether it did: a time that is
// already past is refused, because days that were acted upon cannot come again.
func (m *Movable) Set(t time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := time.Until(t)
	if d < m.offset {
		return false
	}
	m.offset = d
	if m.changed != nil {
		close(m.changed)
		m.changed = nil
	}
	return true
}

// Moved is closed at the next successful Set. Ask again after each.
func (m *Movable) Moved() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.changed == nil {
		m.changed = make(chan struct{})
	}
	return m.changed
}
