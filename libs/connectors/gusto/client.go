package gusto

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/httpx"
	"github.com/muster-hr/muster/libs/fault"
)

// client calls one company's part of the API.
type client struct {
	http    *httpx.Client
	cred    *credential
	company string
	now     func() time.Time
}

var uuidForm = regexp.MustCompile(`^[0-9A-Za-z-]{1,64}$`)

func newClient(a connector.Account) (*client, error) {
	c := &client{company: a.Text("company"), now: a.Now, cred: newCredential(a)}
	if c.now == nil {
		c.now = time.Now
	}
	if !uuidForm.MatchString(c.company) {
		return nil, fmt.Errorf("company: write the company's UUID in Gusto")
	}
	if c.cred.access == "" && !c.cred.renews() {
		return nil, fmt.Errorf("the secret token is missing")
	}
	version := a.Text("api_version")
	if version == "" {
		version = apiVersion
	}
	base := a.BaseURL
	if base == "" {
		base = production
	}
	c.http = httpx.New(httpx.Options{
		BaseURL: base, Transport: a.Transport, Now: c.now, Classify: classify,
		Auth: func(r *http.Request) error {
			r.Header.Set("X-Gusto-API-Version", version)
			if token := c.cred.current(); token != "" && !strings.HasSuffix(r.URL.Path, tokenPath) {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			return nil
		},
	})
	return c, nil
}

// call is one request; path values are UUIDs, in place of {id}.
type call struct {
	method, template string
	id               string
	query            url.Values
	json             any
}

// do makes a call and reads the answer into out, if there is one to read. An
// access token that Gusto refuses is renewed once.
func (c *client) do(ctx context.Context, k call, out any) error {
	token := c.cred.current()
	a, err := c.http.Do(ctx, k.http())
	if a.Status == http.StatusUnauthorized && c.cred.renews() {
		if renewErr := c.cred.renew(ctx, c.http, token); renewErr != nil {
			return renewErr
		}
		a, err = c.http.Do(ctx, k.http())
	}
	if is(err, reasonMissing) {
		return c.missing(ctx, k, err)
	}
	if err != nil || out == nil || a.Status == http.StatusNoContent {
		return err
	}
	return a.Decode(out)
}

// missing tells a person who is not there from a company that is not: with a
// wrong base_url or company everything is not found, and nobody may be given up
// for it, or taken for deleted.
func (c *client) missing(ctx context.Context, k call, err error) error {
	if strings.HasPrefix(k.template, "/v1/companies/") {
		return fault.New(fault.Target, reasonCompany, "there is no such company: look at the setting company, at base_url, and whose token it is")
	}
	askErr := check{c}.Check(ctx)
	if f := fault.Of(askErr); f != nil && (f.Reason == reasonCompany || f.Class == fault.Transient || f.Class == fault.Throttled) {
		return askErr
	}
	return err
}

func (k call) http() httpx.Call {
	path := strings.Replace(k.template, "{id}", httpx.Segment(k.id), 1)
	return httpx.Call{Method: k.method, Path: path, Template: k.template, Query: k.query, JSON: k.json}
}

func (c *client) get(ctx context.Context, template, id string, out any) error {
	return c.do(ctx, call{method: http.MethodGet, template: template, id: id}, out)
}

// employee reads one with all its compensations, past and planned.
func (c *client) employee(ctx context.Context, id string) (person, error) {
	var p person
	err := c.do(ctx, call{method: http.MethodGet, template: "/v1/employees/{id}", id: id, query: url.Values{"include": {"all_compensations"}}}, &p)
	return p, err
}

// check asks for one employee.
type check struct{ *client }

func newCheck(a connector.Account) (connector.Check, error) {
	c, err := newClient(a)
	return check{c}, err
}

// Check tells whether the token may read the company's employees.
func (c check) Check(ctx context.Context) error {
	return c.do(ctx, call{method: http.MethodGet, template: "/v1/companies/{id}/employees", id: c.company, query: url.Values{"page": {"1"}, "per": {"1"}}}, nil)
}
