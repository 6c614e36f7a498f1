package ldap

import (
	"context"
	"sync"
	"time"

	"github.com/muster-hr/muster/libs/fault"
)

// idle is how long an unused connection is kept.
const idle = 30 * time.Second

// pool keeps a few connections that are logged in.
type pool struct {
	open  func(context.Context) (*conn, error)
	slots chan struct{}
	pause time.Duration
	now   func() time.Time

	mu     sync.Mutex
	kept   []*conn
	barred time.Time // until then no login is tried
	why    error
}

func newPool(size int, pause time.Duration, now func() time.Time, open func(context.Context) (*conn, error)) *pool {
	return &pool{open: open, slots: make(chan struct{}, max(1, size)), pause: pause, now: now}
}

// get gives a connection, a kept one unless a fresh one is wanted. The caller
// gives it back with put.
func (p *pool) get(ctx context.Context, fresh bool) (*conn, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, classify(ctx, ctx.Err(), nil)
	}
	c, err := p.take(fresh)
	if c == nil && err == nil {
		c, err = p.open(ctx)
		p.judge(err)
	}
	if err != nil {
		<-p.slots
		return nil, err
	}
	return c, nil
}

func (p *pool) take(fresh bool) (*conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.kept) > 0 {
		last := len(p.kept) - 1
		c := p.kept[last]
		p.kept = p.kept[:last]
		if fresh || c.ldap.IsClosing() {
			go c.close() // it may have to wait for a reader
			continue
		}
		c.used = true
		return c, nil
	}
	if p.why != nil && p.now().Before(p.barred) {
		return nil, p.why
	}
	return nil, nil
}

// judge remembers a refused login: trying it again and again would lock our own
// account out.
func (p *pool) judge(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.why = nil
	if is(err, reasonAuth) && fault.Of(err).Class == fault.Target {
		p.why, p.barred = err, p.now().Add(p.pause)
	}
}

// put takes a connection back.
func (p *pool) put(c *conn) {
	if c.dead || c.ldap.IsClosing() {
		c.close()
	} else {
		p.mu.Lock()
		p.kept = append(p.kept, c)
		p.mu.Unlock()
		time.AfterFunc(idle, func() { p.drop(c) })
	}
	<-p.slots
}

// drop closes a connection that nobody took meanwhile. One that was taken and
// came back goes a little early: that costs a login.
func (p *pool) drop(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, k := range p.kept {
		if k == c {
			p.kept = append(p.kept[:i], p.kept[i+1:]...)
			go c.close()
			return
		}
	}
}
