package play

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/muster-hr/muster/libs/connector/fake"
)

const (
	hookTimeout = 5 * time.Second
	hookTries   = 60 // vendors try for hours; the sandbox has a quicker temper
	hookPause   = 500 * time.Millisecond
)

// send calls the webhook of every source that listens to the fake. The first
// try is made before the fake goes on, as a vendor may; a failing one is tried
// again beside it. A 4xx is final.
func (s *Stage) send(ctx context.Context, a *actor, h fake.Hook) {
	for _, source := range a.sources {
		if s.post(ctx, source, h) {
			continue
		}
		s.mu.Lock()
		if !s.ended {
			s.hooks.Go(func() { s.again(source, h) })
		}
		s.mu.Unlock()
	}
}

// again repeats a webhook until it is settled, the sandbox ends, or nobody
// would try any more.
func (s *Stage) again(source string, h fake.Hook) {
	<-s.begun
	for range hookTries {
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(s.pause):
		}
		if s.post(s.ctx, source, h) {
			return
		}
	}
	s.Log.WarnContext(s.ctx, "a webhook was given up", "source", source)
}

// post makes one call and tells whether it is settled.
func (s *Stage) post(ctx context.Context, source string, h fake.Hook) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hookTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Ingress()+"/webhooks/"+source, bytes.NewReader(h.Body))
	if err != nil {
		s.Log.WarnContext(ctx, "a webhook has no address", "source", source, "err", err)
		return false
	}
	for name, values := range h.Header {
		req.Header[name] = values
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()                     // it was read or is not wanted
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)) // so that the connection is used again
	if resp.StatusCode >= 400 && resp.StatusCode < 500 {
		s.Log.WarnContext(ctx, "a webhook was refused", "source", source, "status", resp.StatusCode)
	}
	return resp.StatusCode < 500
}
