package fake

import (
	"context"
	"errors"
	"net"
	"sync"
)

// Accept is the loop of a [Listener]: talk has a goroutine for each connection,
// and a context that ends with ctx or with l. It returns when ctx has ended or
// l is closed, after every talk has; then l is closed.
func Accept(ctx context.Context, l net.Listener, talk func(context.Context, net.Conn)) error {
	var open sync.WaitGroup
	defer open.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		open.Go(func() { talk(ctx, c) })
	}
}
