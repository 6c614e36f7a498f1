package bamboohr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/httpx"
	"github.com/muster-hr/muster/libs/fault"
)

// client makes the calls of one account.
type client struct {
	http *httpx.Client
	api  string // path before the version: "/api", or "" behind the older gateway
	now  func() time.Time
}

func newClient(a connector.Account) (*client, error) {
	if a.BaseURL == "" {
		return nil, errors.New("bamboohr: base_url is not set: write https://<company>.bamboohr.com")
	}
	key := a.Secrets["api_key"]
	if key.Empty() {
		return nil, errors.New("bamboohr: the secret api_key is not set")
	}
	c := &client{api: "/api", now: a.Now}
	if c.now == nil {
		c.now = time.Now
	}
	if strings.Contains(a.BaseURL, "/api/gateway.php/") { // https://api.bamboohr.com/api/gateway.php/<company>
		c.api = ""
	}
	c.http = httpx.New(httpx.Options{
		BaseURL: a.BaseURL, Transport: a.Transport, Now: c.now, Classify: classify,
		Auth: func(r *http.Request) error {
			r.SetBasicAuth(key.Reveal(), "x") // any password will do
			return nil
		},
	})
	return c, nil
}

// call is one request below the API's root.
type call struct {
	method   string
	version  string // "v1" if empty
	path     string // "/employees/117"
	template string // "/employees/{id}"
	query    url.Values
	json     any
	person   bool // about one employee: a refusal is about that one, not about the account
}

func (c *client) do(ctx context.Context, k call) (httpx.Answer, error) {
	if k.version == "" {
		k.version = "v1"
	}
	prefix := c.api + "/" + k.version
	a, err := c.http.Do(ctx, httpx.Call{
		Method: k.method, Path: prefix + k.path, Template: prefix + k.template, Query: k.query, JSON: k.json,
	})
	if k.person && a.Status == http.StatusForbidden {
		// "Insufficient Permissions to view this employee": the key's access
		// level covers some employees and not others.
		return a, fault.New(fault.Record, "forbidden", "%s %s: %s", k.method, k.template, told(a.Header, a.Status))
	}
	if err != nil {
		err = fmt.Errorf("%s %s: %w", k.method, k.template, err)
	}
	if a.Status == http.StatusNotFound {
		return a, c.missing(ctx, k, err)
	}
	return a, err
}

const (
	reasonMissing = "not_found" // no such employee, or no such table or row of one
	reasonAccount = "account"   // no such company
)

// missing tells an employee who is not there from a company that is not: with a
// wrong base_url everything is not found, and nobody may be given up for it, or
// taken for deleted.
func (c *client) missing(ctx context.Context, k call, err error) error {
	if !strings.Contains(k.template, "{id}") {
		return fault.New(fault.Target, reasonAccount, "%s %s: there is no such company at base_url", k.method, k.template)
	}
	_, askErr := c.do(ctx, changedCall(c.now(), ""))
	if f := fault.Of(askErr); f != nil && (f.Reason == reasonAccount || f.Class == fault.Transient || f.Class == fault.Throttled) {
		return askErr
	}
	return err
}

// get decodes a JSON answer into v.
func (c *client) get(ctx context.Context, k call, v any) (httpx.Answer, error) {
	k.method = http.MethodGet
	a, err := c.do(ctx, k)
	if err != nil {
		return a, err
	}
	if err := a.Decode(v); err != nil {
		return a, fmt.Errorf("GET %s: %w", k.template, err)
	}
	return a, nil
}

// classify reads the vendor's answers. Until 16 September 2026 a limited call
// answered 503 with Retry-After, since then 429: both are throttled. 598 is a
// timeout between the vendor's own machines.
func classify(status int, h http.Header, body []byte, now time.Time) *fault.Error {
	f := httpx.Default(status, h, body, now)
	if f == nil {
		return nil
	}
	switch status {
	case http.StatusNotFound:
		f.Reason = reasonMissing
	case http.StatusConflict:
		f.Reason = "conflict"
		if clashes(h) {
			f.Reason = "exists"
		}
	case http.StatusBadRequest:
		f.Reason = "invalid"
	case http.StatusForbidden:
		f.Reason = "permission"
	}
	f.Err = errors.New(told(h, status))
	return f
}

const messageHeader = "X-BambooHR-Error-Message"

// told describes an answer. The vendor explains itself in a header whose text
// may quote a person's values, so only its length is passed on.
func told(h http.Header, status int) string {
	s := fmt.Sprintf("answered %d %s", status, http.StatusText(status))
	if m := h.Get(messageHeader); m != "" {
		s += fmt.Sprintf(", with an explanation of %d characters", len(m))
	}
	return s
}

// clashes tells a value that somebody else has (409 "email is taken") from one
// that is not valid, which has the same status. Unverified wording.
func clashes(h http.Header) bool {
	m := strings.ToLower(h.Get(messageHeader))
	for _, word := range []string{"already", "duplicate", "in use", "taken", "exists"} {
		if strings.Contains(m, word) {
			return true
		}
	}
	return false
}

// idText is an employee id as text. The vendor writes it as digits, in a string
// or not. "0" is the owner of the API key, so it never names an employee.
func idText(raw json.RawMessage) (string, bool) {
	s := strings.Trim(string(raw), `"`)
	return s, isID(s)
}

func isID(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == "" && strings.Trim(s, "0") != "" && len(s) <= 20
}

// instant reads the vendor's times: `2026-01-31T18:42:00+0000` without a colon,
// and RFC 3339.
func instant(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05-0700"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// timeVersion is the version of a change that the vendor dates; zero if s is no time.
func timeVersion(s string) connector.Version {
	t, ok := instant(s)
	if !ok {
		return connector.Version{}
	}
	return connector.Version{Scale: connector.ScaleTime, Value: t.Format(time.RFC3339Nano)}
}

func readVersion(start time.Time) connector.Version {
	return connector.Version{Scale: connector.ScaleRead, Value: start.UTC().Format(time.RFC3339Nano)}
}
