package httpx

import (
	"context"
	"errors"
	"io"
	"net/http"
)

// Stream is a successful answer that is read piece by piece. Close it.
type Stream struct {
	Header http.Header
	Body   io.ReadCloser // errors of reading are faults, as of Do; a cut answer never ends with io.EOF
}

// refusal is how much of an answer that is none is looked at.
const refusal = 64 << 10

// Open makes a call whose answer is too long to be held. Its limits are the
// caller's: ctx ends the call and the reading, and neither Timeout nor MaxBody
// applies. Errors are those of Do.
func (c *Client) Open(ctx context.Context, call Call) (*Stream, error) {
	req, err := c.request(ctx, call)
	if err != nil {
		return nil, err
	}
	res, err := c.send(req, call.Template)
	if err != nil {
		return nil, network(ctx, err)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		defer func() { _ = res.Body.Close() }() // nothing more is wanted of it
		body, err := io.ReadAll(io.LimitReader(res.Body, refusal))
		if err != nil {
			return nil, network(ctx, err)
		}
		if f := c.o.Classify(res.StatusCode, res.Header, body, c.o.Now()); f != nil {
			return nil, f
		}
		return nil, Default(res.StatusCode, res.Header, body, c.o.Now())
	}
	return &Stream{Header: res.Header, Body: pieces{ctx, res.Body}}, nil
}

// pieces turns errors of reading into faults.
type pieces struct {
	ctx context.Context
	io.ReadCloser
}

func (p pieces) Read(b []byte) (int, error) {
	n, err := p.ReadCloser.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = network(p.ctx, err)
	}
	return n, err
}
