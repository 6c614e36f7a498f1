package deliver

import (
	"context"
	"errors"
	"sync"
)

// trail knows which records are on their way to the stream while their
// employees' lanes go on. The stream must have an employee's records in the
// order in which they were made: a process that dies is given again what is not
// acknowledged, and passes over what a stored record says is done. So none is
// sent before the one ahead of it is durable.
type trail struct {
	mu     sync.Mutex
	newest map[string]*underway // by employee
}

// underway is one such record. A nil one is durable.
type underway struct {
	end    chan struct{}
	stored bool // once end is closed
}

// errNotStored stops what would come after a record that was given up: the
// process ends, and all of it comes again.
var errNotStored = errors.New("the record before was not stored")

// last is the newest record of an employee that is not durable yet.
func (t *trail) last(id string) *underway {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.newest[id]
}

// add puts a further record behind it. What it returns must be ended.
func (t *trail) add(id string) *underway {
	t.mu.Lock()
	defer t.mu.Unlock()
	u := &underway{end: make(chan struct{})}
	if t.newest == nil {
		t.newest = map[string]*underway{}
	}
	t.newest[id] = u
	return u
}

// finish tells whether a record is durable. One that was given up stays where
// it is: none of its employee's may follow.
func (t *trail) finish(id string, u *underway, stored bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if stored && t.newest[id] == u {
		delete(t.newest, id)
	}
	u.stored = stored
	close(u.end)
}

// wait returns when the record is durable.
func (u *underway) wait(ctx context.Context) error {
	if u == nil {
		return nil
	}
	select {
	case <-u.end:
	case <-ctx.Done():
		return ctx.Err()
	}
	if !u.stored {
		return errNotStored
	}
	return nil
}
