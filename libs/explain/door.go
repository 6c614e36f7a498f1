package explain

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
)

// door stands for a vendor that does not speak HTTP: its fake, reached without
// a network. What the fake took as writes is what would be sent.
type door struct {
	vendor fake.Listener
	base   string // what the account names
	ended  chan struct{}
	stop   context.CancelFunc
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
	skip   int // writes that were there before
}

// openDoor starts the fake and points the account at it; nil if the account's
// vendor speaks HTTP.
func openDoor(ctx context.Context, to *config.Target, o fake.Options, a *connector.Account) *door {
	if len(to.Type.Schemes) == 0 || to.Type.Fake == nil {
		return nil
	}
	vendor, ok := to.Type.Fake(o).(fake.Listener)
	if !ok {
		return nil
	}
	d := &door{vendor: vendor, base: a.BaseURL, conns: make(chan net.Conn), ended: make(chan struct{}), closed: make(chan struct{})}
	ctx, d.stop = context.WithCancel(ctx)
	go func() {
		defer close(d.ended)
		_ = vendor.Serve(ctx, d, &fake.Faults{}) // its end is ours
	}()
	a.BaseURL = to.Type.Schemes[len(to.Type.Schemes)-1] + "://127.0.0.1"
	a.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		select {
		case d.conns <- theirs:
			return ours, nil
		case <-d.closed:
			return nil, net.ErrClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return d
}

// close ends the fake.
func (d *door) close() {
	d.stop()
	<-d.ended
}

// begin lets what was written so far be history.
func (d *door) begin() {
	_, writes := d.vendor.Log().State()
	d.skip = len(writes)
}

// requests are the writes since begin.
func (d *door) requests(mask func(string) string) []Request {
	_, writes := d.vendor.Log().State()
	out := []Request{}
	for _, w := range writes[d.skip:] {
		out = append(out, Request{
			Method: string(w.Op), URL: mask(strings.TrimRight(d.base, "/") + "/" + w.Key), Headers: map[string]string{}, Body: w.Body,
		})
	}
	return out
}

// Accept gives the fake a connection of the connector.
func (d *door) Accept() (net.Conn, error) {
	select {
	case c := <-d.conns:
		return c, nil
	case <-d.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (d *door) Close() error {
	d.once.Do(func() { close(d.closed) })
	return nil
}

// Addr names the place.
func (d *door) Addr() net.Addr { return place(fmt.Sprintf("explained %s", d.base)) }

type place string

func (p place) Network() string { return "pipe" }
func (p place) String() string  { return string(p) }
