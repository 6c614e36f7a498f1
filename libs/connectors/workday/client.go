package workday

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/httpx"
	"github.com/muster-hr/muster/libs/fault"
)

// template is the report's address in spans.
const template = "/ccx/service/customreport2/{tenant}/{owner}/{report}"

// client calls the reports of one tenant.
type client struct {
	http, token    *httpx.Client
	tokenPath      string
	id, secret     string
	now            func() time.Time
	user, password string

	mu      sync.Mutex // of what follows; held while a token is fetched
	refresh string
	access  string
	until   time.Time
}

func newClient(a connector.Account) (*client, error) {
	if a.BaseURL == "" {
		return nil, errors.New("workday: base_url is not set: write the host of the tenant's web services, as https://wd3-services1.myworkday.com")
	}
	c := &client{
		now: a.Now, user: a.Text("user"), password: a.Secrets["password"].Reveal(), tokenPath: "/ccx/oauth2/" + a.Text("tenant") + "/token",
		id: a.Secrets["client_id"].Reveal(), secret: a.Secrets["client_secret"].Reveal(), refresh: a.Secrets["refresh_token"].Reveal(),
	}
	if c.now == nil {
		c.now = time.Now
	}
	basic, oauth := c.user != "" && c.password != "", c.oauth()
	switch {
	case basic == oauth:
		return nil, errors.New("workday: set either user and the secret password, or the secrets client_id, client_secret and refresh_token")
	case oauth:
		c.token = httpx.New(httpx.Options{BaseURL: a.BaseURL, Transport: a.Transport, Now: c.now, Classify: classifyToken, Auth: func(r *http.Request) error {
			r.SetBasicAuth(url.QueryEscape(c.id), url.QueryEscape(c.secret)) // RFC 6749 section 2.3.1
			return nil
		}})
	}
	c.http = httpx.New(httpx.Options{BaseURL: a.BaseURL, Transport: a.Transport, Now: c.now, Classify: classify})
	return c, nil
}

func (c *client) oauth() bool { return c.id != "" && c.secret != "" && c.refresh != "" }

// classify: a report is asked for in one way, so whatever is refused is for
// the account's owner to mend, and no record is to blame.
func classify(status int, h http.Header, body []byte, now time.Time) *fault.Error {
	f := httpx.Default(status, h, body, now)
	if f == nil {
		return nil
	}
	switch status {
	case http.StatusNotFound:
		f.Class, f.Reason = fault.Target, "report" // there is none, or the user may not run it
	case http.StatusForbidden:
		f.Reason = "permission"
	case http.StatusBadRequest:
		f.Class, f.Reason = fault.Target, "prompts"
	}
	if f.Class == fault.Record {
		f.Class = fault.Target
	}
	return f
}

// classifyToken: RFC 6749 section 5.2 gives 400 or 401 for a token or a client
// that is not (any more) valid.
func classifyToken(status int, h http.Header, body []byte, now time.Time) *fault.Error {
	f := httpx.Default(status, h, body, now)
	if f != nil && f.Class == fault.Record {
		f.Class, f.Reason = fault.Target, "auth"
	}
	return f
}

// open asks for the report. The answer is unpacked as it is read.
func (c *client) open(ctx context.Context, path string, q url.Values) (io.ReadCloser, error) {
	for again := true; ; again = false {
		header, err := c.credential(ctx)
		if err != nil {
			return nil, err
		}
		header.Set("Accept-Encoding", "gzip")
		s, err := c.http.Open(ctx, httpx.Call{Method: http.MethodGet, Path: path, Template: template, Query: q, Header: header})
		if err != nil {
			// An access token may end before its time: one new one is asked for.
			if f := fault.Of(err); again && c.oauth() && f.Class == fault.Target && f.Reason == "auth" {
				c.forget()
				continue
			}
			return nil, fmt.Errorf("GET %s: %w", template, err)
		}
		if s.Header.Get("Content-Encoding") != "gzip" {
			return s.Body, nil
		}
		z, err := gzip.NewReader(s.Body)
		if err != nil {
			_ = s.Body.Close()
			return nil, faulty(err)
		}
		return unpacked{z, s.Body}, nil
	}
}

// unpacked closes the answer with its reader.
type unpacked struct {
	*gzip.Reader
	under io.Closer
}

func (u unpacked) Close() error { return u.under.Close() }

// credential is what a call proves itself with.
func (c *client) credential(ctx context.Context) (http.Header, error) {
	h := http.Header{}
	if !c.oauth() {
		r := http.Request{Header: h}
		r.SetBasicAuth(c.user, c.password)
		return h, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.access == "" || !c.now().Before(c.until) {
		if err := c.renew(ctx); err != nil {
			return nil, err
		}
	}
	h.Set("Authorization", "Bearer "+c.access)
	return h, nil
}

func (c *client) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.access = ""
}

// spare is how long before its end an access token is no longer used.
const spare = time.Minute

// renew exchanges the refresh token. A new one that comes with it is used from
// then on and not kept over a restart: that is why it is to be one that does not
// expire.
func (c *client) renew(ctx context.Context) error {
	a, err := c.token.Do(ctx, httpx.Call{
		Method: http.MethodPost, Path: c.tokenPath, Template: "/ccx/oauth2/{tenant}/token", ContentType: "application/x-www-form-urlencoded",
		Body: []byte(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {c.refresh}}.Encode()),
	})
	if err != nil {
		return fmt.Errorf("renew the access token: %w", err)
	}
	var got struct {
		Access  string  `json:"access_token"`
		Refresh string  `json:"refresh_token"`
		Expires float64 `json:"expires_in"`
	}
	if err := a.Decode(&got); err != nil {
		return err
	}
	if got.Access == "" {
		return fault.New(fault.Target, "auth", "the refresh gave no access token")
	}
	c.access, c.until = got.Access, c.now().Add(time.Duration(got.Expires)*time.Second-spare)
	if got.Expires <= 0 {
		c.until = c.now().Add(time.Hour)
	}
	if got.Refresh != "" {
		c.refresh = got.Refresh
	}
	return nil
}
