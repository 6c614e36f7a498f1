package okta

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/httpx"
)

// user is what we read of Okta's user. Profile values may be null.
type user struct {
	ID            string         `json:"id"`
	Status        string         `json:"status"`
	Transitioning string         `json:"transitioningToStatus"`
	Profile       map[string]any `json:"profile"`
}

// status is where the account is or is on its way to: lifecycle calls are
// finished in the background.
func (u user) status() string {
	if u.Transitioning != "" {
		return u.Transitioning
	}
	return u.Status
}

func (u user) text(name string) string { s, _ := u.Profile[name].(string); return s }

// api are the calls we use.
type api struct{ http *httpx.Client }

func newAPI(a connector.Account) (api, error) {
	token := a.Secrets["token"].Reveal()
	switch {
	case a.BaseURL == "":
		return api{}, fmt.Errorf("base_url: name the organisation's address, as in https://example.okta.com")
	case token == "":
		return api{}, fmt.Errorf("the secret token is missing")
	}
	scheme := "SSWS "
	if a.Text("auth") == "bearer" {
		scheme = "Bearer "
	}
	return api{httpx.New(httpx.Options{
		BaseURL:   strings.TrimSuffix(a.BaseURL, "/api/v1") + "/api/v1",
		Transport: a.Transport,
		Now:       a.Now,
		Classify:  classify,
		Auth: func(r *http.Request) error {
			r.Header.Set("Authorization", scheme+token)
			return nil
		},
	})}, nil
}

// get reads by id or login; strongly consistent. A missing one is the fault
// "not_found".
func (c api) get(ctx context.Context, idOrLogin string) (user, error) {
	return c.user(ctx, httpx.Call{Method: http.MethodGet, Path: "/users/" + httpx.Segment(idOrLogin), Template: "/users/{id}"})
}

// search finds by a profile attribute, among deactivated users too; eventually
// consistent. Two are enough to see that it is not one.
func (c api) search(ctx context.Context, attribute, value string) ([]user, error) {
	return c.list(ctx, url.Values{"search": {"profile." + attribute + " eq " + quote(value)}, "limit": {"2"}})
}

func (c api) list(ctx context.Context, query url.Values) ([]user, error) {
	a, err := c.http.Do(ctx, httpx.Call{Method: http.MethodGet, Path: "/users", Template: "/users", Query: query})
	if err != nil {
		return nil, err
	}
	var us []user
	return us, a.Decode(&us)
}

// quote writes a text of Okta's filter language, which is SCIM's (RFC 7644
// section 3.4.2.2, JSON text).
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// create makes a staged account: with activate=true and no password Okta would
// mail the person at once.
func (c api) create(ctx context.Context, profile map[string]any) (user, error) {
	return c.user(ctx, httpx.Call{
		Method: http.MethodPost, Path: "/users", Template: "/users",
		Query: url.Values{"activate": {"false"}},
		JSON:  map[string]any{"profile": profile},
	})
}

// update changes the named attributes only; PUT would clear all others.
func (c api) update(ctx context.Context, id string, profile map[string]any) (user, error) {
	return c.user(ctx, httpx.Call{
		Method: http.MethodPost, Path: "/users/" + httpx.Segment(id), Template: "/users/{id}",
		JSON: map[string]any{"profile": profile},
	})
}

// lifecycle calls activate, deactivate, suspend or unsuspend.
func (c api) lifecycle(ctx context.Context, id, verb string, query url.Values) error {
	_, err := c.http.Do(ctx, httpx.Call{
		Method: http.MethodPost, Path: "/users/" + httpx.Segment(id) + "/lifecycle/" + verb,
		Template: "/users/{id}/lifecycle/" + verb, Query: query, ContentType: "application/json",
	})
	return err
}

func (c api) user(ctx context.Context, call httpx.Call) (user, error) {
	a, err := c.http.Do(ctx, call)
	if err != nil {
		return user{}, err
	}
	var u user
	return u, a.Decode(&u)
}
