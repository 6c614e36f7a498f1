package explain

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
)

// recorder stands for the vendor: it keeps every call that would change
// something and answers it. With refs it answers as one who knows the person;
// without, the connector's own fake answers, which knows nobody.
type recorder struct {
	options  fake.Options
	fake     http.Handler // nil: there is none
	prefix   string       // path of the base URL, which the fake does not have
	refs     connector.Refs
	secrets  []string
	requests []Request
}

func newRecorder(to *config.Target, a connector.Account, refs connector.Refs, now time.Time) *recorder {
	r := &recorder{refs: refs, requests: []Request{}}
	settings := map[string]string{}
	for name, v := range a.Settings {
		if s, ok := v.(string); ok {
			settings[name] = s
		}
	}
	for _, v := range a.Secrets { // the fake is not told them: whatever the connector proves itself with will do
		if v.Reveal() != "" {
			r.secrets = append(r.secrets, v.Reveal())
		}
	}
	if u, err := url.Parse(a.BaseURL); err == nil {
		r.prefix = u.Path
	}
	r.options = fake.Options{Now: func() time.Time { return now }, Settings: settings}
	if to.Type.Fake != nil && len(refs) == 0 {
		r.fake = to.Type.Fake(r.options)
	}
	return r
}

// RoundTrip answers one call without a network.
func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
		_ = req.Body.Close() // it was read
	}
	asks := req.Method == http.MethodGet || req.Method == http.MethodHead
	if !asks {
		r.keep(req, body)
	}
	w := httptest.NewRecorder()
	switch {
	case r.fake != nil:
		w = r.faked(req, body, strings.TrimPrefix(req.URL.Path, r.prefix))
		if w.Code == http.StatusNotFound && r.prefix != "" && !asks {
			w = r.faked(req, body, req.URL.Path) // the base URL has a part of the vendor's own paths
		}
	case asks:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.WriteString("{}") // into memory
	default:
		w.Header().Set("Content-Type", "application/json")
		w.Body.Write(r.echo(body))
	}
	resp := w.Result() // closed by who asked
	resp.Request = req
	return resp, nil
}

func (r *recorder) faked(req *http.Request, body []byte, path string) *httptest.ResponseRecorder {
	again := req.Clone(req.Context())
	again.Body = io.NopCloser(bytes.NewReader(body))
	again.URL = &url.URL{Path: path, RawQuery: req.URL.RawQuery}
	again.RequestURI = again.URL.RequestURI()
	w := httptest.NewRecorder()
	r.fake.ServeHTTP(w, again)
	return w
}

// echo is the answer of many APIs to a write: what was written, with its id.
func (r *recorder) echo(body []byte) []byte {
	answer := map[string]any{}
	_ = json.Unmarshal(body, &answer) // what is no object is answered with the ids alone
	for name, v := range r.refs {
		if _, there := answer[name]; !there {
			answer[name] = v
		}
	}
	b, _ := json.Marshal(answer) // from JSON
	return b
}

// secretHeaders hold nothing but a credential.
var secretHeaders = map[string]bool{"Authorization": true, "Proxy-Authorization": true, "Cookie": true}

const masked = "***"

// keep notes a call without its credentials.
func (r *recorder) keep(req *http.Request, body []byte) {
	kept := Request{Method: req.Method, URL: r.mask(req.URL.String()), Headers: map[string]string{}}
	for name, values := range req.Header {
		kept.Headers[name] = r.mask(strings.Join(values, ", "))
		if secretHeaders[name] {
			kept.Headers[name] = masked
		}
	}
	if len(body) > 0 {
		text := r.mask(string(body))
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		if d.Decode(&kept.Body) != nil || d.More() {
			kept.Body = text
		}
	}
	r.requests = append(r.requests, kept)
}

func (r *recorder) mask(s string) string {
	for _, secret := range r.secrets {
		s = strings.ReplaceAll(s, secret, masked)
		s = strings.ReplaceAll(s, url.QueryEscape(secret), masked)
	}
	return s
}

// LastSequence is that of a team's stream in which the version of before, if
// there was one, stands.
func (r *recorder) LastSequence(context.Context, string, string) (sequence, at uint64, err error) {
	if r.refs["sequence"] != "" {
		_, err = fmt.Sscan(r.refs["sequence"], &sequence)
	}
	return min(sequence, 1), min(sequence, 1), err
}

// Append keeps an event for a team as what it is: a message on its stream.
func (r *recorder) Append(_ context.Context, team string, e connector.TeamEvent, _ uint64) error {
	kept := Request{Method: "PUBLISH", URL: "nats:" + team, Headers: map[string]string{
		"ce-id": e.ID, "ce-type": e.Type, "ce-subject": e.Employee, "ce-sequence": fmt.Sprintf("%020d", e.Sequence), "ce-partitionkey": e.Employee,
	}}
	d := json.NewDecoder(bytes.NewReader(e.Data))
	d.UseNumber()
	if err := d.Decode(&kept.Body); err != nil {
		return err
	}
	r.requests = append(r.requests, kept)
	return nil
}

// input decodes a file as canonical JSON: numbers stay as they are written.
func input(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: not JSON of the wanted form", ErrInput)
	}
	return nil
}

// ReadEmployee reads EMPLOYEE.json: a canonical tree.
func ReadEmployee(b []byte) (map[string]any, error) {
	var t map[string]any
	err := input(b, &t)
	return t, err
}

// ReadBefore reads STATE.json: an employee and the connector's refs.
func ReadBefore(b []byte) (*Before, error) {
	var s Before
	if err := input(b, &s); err != nil {
		return nil, err
	}
	s.Refs = maps.Clone(s.Refs)
	return &s, nil
}

// ReadHeaders reads headers: a JSON object, or one `Name: value` per line.
func ReadHeaders(b []byte) (http.Header, error) {
	h := http.Header{}
	if t := bytes.TrimSpace(b); len(t) > 0 && t[0] == '{' {
		var object map[string]string
		if err := json.Unmarshal(t, &object); err != nil {
			return nil, fmt.Errorf("%w: the headers are not a JSON object of texts", ErrInput)
		}
		for name, v := range object {
			h.Add(name, v)
		}
		return h, nil
	}
	for i, line := range strings.Split(string(b), "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		name, v, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, fmt.Errorf("%w: line %d of the headers is not `Name: value`", ErrInput, i+1)
		}
		h.Add(strings.TrimSpace(name), strings.TrimSpace(v))
	}
	return h, nil
}
