package scim

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/httpx"
	"github.com/muster-hr/muster/libs/fault"
)

const (
	media       = "application/scim+json"
	schemaPatch = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
)

// api are the calls we use.
type api struct{ http *httpx.Client }

func newAPI(a connector.Account) (api, error) {
	token := a.Secrets["token"].Reveal()
	switch {
	case a.BaseURL == "":
		return api{}, fmt.Errorf("base_url: name the address that the product gives for SCIM, as in https://app.example.com/scim/v2")
	case token == "":
		return api{}, fmt.Errorf("the secret token is missing")
	}
	auth := "Bearer " + token
	if a.Text("auth") == "basic" {
		auth = "Basic " + base64.StdEncoding.EncodeToString([]byte(token))
	}
	return api{httpx.New(httpx.Options{
		BaseURL:   a.BaseURL,
		Transport: a.Transport,
		Now:       a.Now,
		Classify:  classify,
		Auth: func(r *http.Request) error {
			r.Header.Set("Authorization", auth)
			return nil
		},
	})}, nil
}

// do makes a call in SCIM's media type.
func (c api) do(ctx context.Context, call httpx.Call) (httpx.Answer, error) {
	if call.Header == nil {
		call.Header = http.Header{}
	}
	call.Header.Set("Accept", media+", application/json")
	if call.JSON != nil {
		call.ContentType = media
	}
	return c.http.Do(ctx, call)
}

// get reads a user by the server's id. A missing one is the fault "not_found".
func (c api) get(ctx context.Context, id string) (resource, error) {
	a, err := c.do(ctx, httpx.Call{Method: http.MethodGet, Path: "/Users/" + httpx.Segment(id), Template: "/Users/{id}"})
	if err != nil {
		return nil, err
	}
	var u resource
	if err := a.Decode(&u); err != nil {
		return nil, err
	}
	if u.id() != id {
		return nil, fault.New(fault.Transient, "answer", "asked for one user, and the answer is another or none")
	}
	return u, nil
}

// list reads one page of users; filter "" is everybody. Resources may be null,
// missing, or written in small letters; totals are not believed.
func (c api) list(ctx context.Context, filter string, start, count int) ([]resource, error) {
	q := url.Values{"startIndex": {strconv.Itoa(start)}, "count": {strconv.Itoa(count)}}
	if filter != "" {
		q.Set("filter", filter)
	}
	a, err := c.do(ctx, httpx.Call{Method: http.MethodGet, Path: "/Users", Template: "/Users", Query: q})
	if err != nil {
		return nil, collection(err)
	}
	return listed(a)
}

// listed opens the answer of a list.
func listed(a httpx.Answer) ([]resource, error) {
	var page map[string]any
	if err := a.Decode(&page); err != nil {
		return nil, err
	}
	raw, _ := member(page, "Resources")
	rows, ok := raw.([]any)
	if raw != nil && !ok {
		return nil, fault.New(fault.Transient, "answer", "the answer of a list holds no list")
	}
	var out []resource
	for _, row := range rows {
		if u, ok := row.(map[string]any); ok && resource(u).id() != "" {
			out = append(out, u)
		}
	}
	return out, nil
}

// create makes a user and gives it as the server has it. A server that answers
// without a body names it by its place.
func (c api) create(ctx context.Context, u resource) (resource, error) {
	a, err := c.do(ctx, httpx.Call{Method: http.MethodPost, Path: "/Users", Template: "/Users", JSON: u})
	if err != nil {
		return nil, collection(err)
	}
	made := echo(a)
	if made.id() == "" {
		place := strings.TrimRight(a.Header.Get("Location"), "/")
		if at, err := url.Parse(place); err == nil && strings.Contains(at.Path, "/Users/") {
			return resource{"id": at.Path[strings.LastIndex(at.Path, "/")+1:]}, nil
		}
		return nil, fault.New(fault.Transient, "answer", "the user was made, and the answer does not say with which id")
	}
	return made, nil
}

// patch sends operations; the answer is the user, or nil where the server says
// nothing (204). version "" is no condition.
func (c api) patch(ctx context.Context, id string, ops []operation, version string) (resource, error) {
	return c.change(ctx, http.MethodPatch, id, map[string]any{"schemas": []string{schemaPatch}, "Operations": ops}, version)
}

// put replaces a user: what is left out is gone.
func (c api) put(ctx context.Context, id string, u resource, version string) (resource, error) {
	return c.change(ctx, http.MethodPut, id, u, version)
}

func (c api) change(ctx context.Context, method, id string, body any, version string) (resource, error) {
	call := httpx.Call{Method: method, Path: "/Users/" + httpx.Segment(id), Template: "/Users/{id}", JSON: body, Header: http.Header{}}
	if version != "" {
		call.Header.Set("If-Match", version)
	}
	a, err := c.do(ctx, call)
	if err != nil {
		return nil, err
	}
	return echo(a), nil
}

// remove deletes a user; one that is gone is deleted.
func (c api) remove(ctx context.Context, id string) error {
	_, err := c.do(ctx, httpx.Call{Method: http.MethodDelete, Path: "/Users/" + httpx.Segment(id), Template: "/Users/{id}"})
	if is(err, reasonMissing) {
		return nil
	}
	return err
}

// echo is the user in an answer to a write; nil if there is none. What was
// written stands, whatever the answer looks like.
func echo(a httpx.Answer) resource {
	var u resource
	if len(a.Body) == 0 || a.Decode(&u) != nil || u.id() == "" {
		return nil
	}
	return u
}

// collection: 404 of the list itself means that the address is wrong.
func collection(err error) error {
	if is(err, reasonMissing) {
		return fault.New(fault.Target, "path", "there are no /Users below base_url")
	}
	return err
}

// quote writes a text of a filter (RFC 7644 section 3.4.2.2: as JSON does).
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
