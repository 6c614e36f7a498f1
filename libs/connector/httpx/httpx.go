// Package httpx is the one HTTP client of all connectors: it puts a call
// together, gives it a deadline, reads the whole answer, and turns what went
// wrong into a classified [fault.Error].
//
//	Call ──► Client ──► Transport (span, traceparent, dial guard) ──► vendor
//	Answer, *fault.Error ◄──┘
//
// It does not retry, does not follow redirects and does not limit rates: the
// lanes of delivery do that, where the outcome of each attempt is recorded.
package httpx

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/internal/appendjson"
)

// Classify turns a vendor's answer into a fault; nil means that it is a
// success. It must not put values of the body into the error's text.
type Classify func(status int, h http.Header, body []byte, now time.Time) *fault.Error

// Options of a [Client]. Only BaseURL has no default.
type Options struct {
	BaseURL   string                    // scheme, host and path prefix, without a trailing slash
	Transport http.RoundTripper         // default: Transport(TransportOptions{BaseURL: …})
	Now       func() time.Time          // default time.Now
	Auth      func(*http.Request) error // puts the credential on; an error stops the call
	Classify  Classify                  // default [Default]
	Timeout   time.Duration             // of one call with its answer; default: the Transport's, else 30 s
	MaxBody   int64                     // bytes of an answer, default 16 MiB
	UserAgent string                    // default "muster"
}

// Client calls one vendor account. Safe for concurrent use.
type Client struct {
	o     Options
	base  *url.URL // nil if the base URL cannot be read
	path  string   // of the base URL, escaped
	agent []string // the header's value
	send  func(r *http.Request, template string) (*http.Response, error)
}

// New makes a client. A base URL that cannot be read is told by the first Do,
// as a fault of class Target.
func New(o Options) *Client {
	o.BaseURL = strings.TrimRight(o.BaseURL, "/")
	if o.Transport == nil {
		o.Transport = Transport(TransportOptions{BaseURL: o.BaseURL})
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Classify == nil {
		o.Classify = Default
	}
	send := func(r *http.Request, _ string) (*http.Response, error) { return o.Transport.RoundTrip(r) }
	if t, ok := o.Transport.(*roundTripper); ok {
		send = t.send // our requests are nobody else's: no copies
		if o.Timeout == 0 {
			o.Timeout = t.timeout
		}
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.MaxBody == 0 {
		o.MaxBody = 16 << 20
	}
	if o.UserAgent == "" {
		o.UserAgent = "muster"
	}
	c := &Client{o: o, agent: []string{o.UserAgent}, send: send}
	if u, err := url.Parse(o.BaseURL); err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") {
		u.Host = strings.TrimSuffix(u.Host, ":") // a port that is not said
		c.base, c.path = u, u.EscapedPath()
	}
	return c
}

// Call is one request.
type Call struct {
	Method      string
	Path        string // below the base URL, escaped: see [Segment]
	Template    string // the path with placeholders, for spans: "/users/{id}"
	Query       url.Values
	Header      http.Header
	KeyHeader   string // carries Key, the same for every repeat of a write; "" for none
	Key         string
	JSON        any    // sent as JSON when not nil
	Body        []byte // else sent as it is when not nil
	ContentType string // of Body; of JSON the default is application/json
}

// Answer is what came back, read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Decode reads the answer's JSON into v; a vendor that answers with something
// else is Transient "answer", as proxies in trouble do that.
func (a Answer) Decode(v any) error {
	if err := json.Unmarshal(a.Body, v); err != nil {
		// The decoder's text may quote the answer, which may hold a person's values.
		return fault.New(fault.Transient, "answer", "the answer with status %d is not the JSON that was expected", a.Status)
	}
	return nil
}

// Segment escapes one segment of a path, "@" included: some gateways read it
// as the end of a user name.
func Segment(s string) string { return strings.ReplaceAll(url.PathEscape(s), "@", "%40") }

// Default classifies as [fault.FromStatus] does; a redirect is Target
// "redirect", because the configured address is not the API's.
func Default(status int, h http.Header, _ []byte, now time.Time) *fault.Error {
	if status >= 300 && status < 400 {
		return fault.New(fault.Target, "redirect", "answered %d, and redirects are not followed", status)
	}
	return fault.FromStatus(status, h, now)
}

// Do makes the call. When the vendor answered, the Answer is returned also
// beside an error. Errors are faults: Transient "connect" (surely not sent),
// "timeout", "reset", "dns", "network", "canceled" (the context ended; wraps
// its error), Target "tls", "address_refused", "plain_http", "config", or
// what Classify says.
func (c *Client) Do(ctx context.Context, call Call) (Answer, error) {
	inner := ctx
	if end, ok := ctx.Deadline(); !ok || time.Until(end) > c.o.Timeout {
		var cancel context.CancelFunc
		inner, cancel = context.WithTimeout(ctx, c.o.Timeout)
		defer cancel()
	}
	req, err := c.request(inner, call)
	if err != nil {
		return Answer{}, err
	}
	res, err := c.send(req, call.Template)
	if err != nil {
		return Answer{}, network(ctx, err)
	}
	defer func() { _ = res.Body.Close() }() // it was read to its end, or is not wanted
	a := Answer{Status: res.StatusCode, Header: res.Header}
	a.Body, err = read(io.LimitReader(res.Body, c.o.MaxBody+1), res.ContentLength)
	if err != nil {
		return a, network(ctx, err)
	}
	if int64(len(a.Body)) > c.o.MaxBody {
		a.Body = nil
		return a, fault.New(fault.Record, "answer_too_large", "the answer is longer than %d bytes", c.o.MaxBody)
	}
	if f := c.o.Classify(a.Status, a.Header, a.Body, c.o.Now()); f != nil {
		return a, f
	}
	return a, nil
}

// read is io.ReadAll for an answer that mostly says how long it is; said is
// believed up to 1 MiB, and -1 if it was not said.
func read(r io.Reader, said int64) ([]byte, error) {
	if said < 0 {
		return io.ReadAll(r)
	}
	b := make([]byte, 0, min(said, 1<<20)+1) // one more, to see its end
	for {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case err == io.EOF:
			return b, nil
		case err != nil:
			return b, err
		case len(b) == cap(b):
			b = slices.Grow(b, len(b))
		}
	}
}

func (c *Client) request(ctx context.Context, call Call) (*http.Request, error) {
	// The texts of url and json errors quote what they could not read, and a
	// path or body may hold a person's values: they are not passed on.
	if c.base == nil {
		return nil, fault.New(fault.Target, "config", "the base URL is not an absolute http or https URL")
	}
	escaped := c.path + call.Path
	path, err := url.PathUnescape(escaped)
	if err != nil {
		return nil, fault.New(fault.Record, "path", "the path %s has a broken escape", orNone(call.Template))
	}
	body, kind := call.Body, call.ContentType
	if call.JSON != nil {
		if body, err = encode(call.JSON); err != nil {
			return nil, fault.New(fault.Record, "encode", "the body of %s %s cannot be written as JSON", call.Method, orNone(call.Template))
		}
		if kind == "" {
			kind = "application/json"
		}
	}
	var rd io.Reader // a *bytes.Reader, so that net/http can send it again on a fresh connection
	if body != nil {
		rd = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, call.Method, "", rd) // the URL is known without reading it again
	if err != nil {
		return nil, fault.New(fault.Target, "config", "the request of method %q cannot be made", call.Method)
	}
	req.Host = c.base.Host
	*req.URL = url.URL{Scheme: c.base.Scheme, Host: c.base.Host, Path: path, RawPath: escaped}
	if len(call.Query) > 0 {
		// "%20" is read as a space everywhere, "+" only by form decoders.
		req.URL.RawQuery = strings.ReplaceAll(call.Query.Encode(), "+", "%20")
	}
	req.Header["Accept"], req.Header["User-Agent"] = accept, c.agent
	if kind != "" {
		req.Header["Content-Type"] = []string{kind}
	}
	for name, values := range call.Header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	if call.KeyHeader != "" {
		req.Header.Set(call.KeyHeader, call.Key)
	}
	if c.o.Auth != nil {
		if err := c.o.Auth(req); err != nil {
			return nil, fmt.Errorf("put the credential on: %w", err)
		}
	}
	return req, nil
}

// accept is a header's value: nobody changes one in place.
var accept = []string{"application/json"}

// encode leaves what HTML takes for markup as it is.
func encode(v any) ([]byte, error) {
	if body, ok := v.(map[string]any); ok { // as nearly all are, and nearly none has an escape
		if b, err := appendjson.Value(make([]byte, 0, 512), body); err != nil || !bytes.Contains(b, []byte(`\u00`)) {
			return b, err
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

func orNone(s string) string {
	if s == "" {
		return "(no template)"
	}
	return s
}
