package httpconn

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/httpx"
	"github.com/muster-hr/muster/libs/fault"
)

// newSink reads the settings of a target.
func newSink(a connector.Account) (connector.Sink, error) {
	client, err := newClient(a)
	if err != nil {
		return nil, err
	}
	s := &sink{
		name:    a.Name,
		client:  client,
		now:     a.Now,
		headers: http.Header{},
		asEvent: a.Text("body") == "event",
		effects: connector.Effects{StateLike: true, Ref: refKey, Consistency: a.Duration("lookup.window")},
	}
	if v, set := a.Settings["state_like"].(bool); set {
		s.effects.StateLike = v
	}
	for k, v := range a.Table("headers") {
		s.headers.Set(k, v)
	}
	if s.create, err = newVerb(a, "create"); err != nil {
		return nil, err
	}
	if s.update, err = newVerb(a, "update"); err != nil {
		return nil, err
	}
	if s.disable, err = newVerb(a, "disable"); err != nil {
		return nil, err
	}
	if !s.disable.own {
		s.disable.method, s.disable.target = s.update.method, s.update.target
	}
	switch how := a.Text("idempotency"); {
	case how == "":
	case how == "method":
		s.effects.Idempotent = true
	case strings.HasPrefix(how, "header ") && strings.TrimSpace(how[len("header "):]) != "":
		s.idemHeader = strings.TrimSpace(how[len("header "):])
		s.effects.Idempotent = true
	default:
		return nil, fmt.Errorf("idempotency: %q: write header NAME, or method", how)
	}
	if path := a.Text("lookup.path"); path != "" {
		if s.lookup, err = newLookup(path, or(a.Text("lookup.result"), "id")); err != nil {
			return nil, err
		}
	}
	s.tells = s.effects.StateLike || s.lookup.ofPeople()
	for _, v := range []verb{s.create, s.update, s.disable} {
		s.tells = s.tells || v.own || v.target.needs("verb")
	}
	if s.ref = a.Text("ref"); s.ref != "" && !strings.EqualFold(s.ref, "Location") {
		s.ref, err = jsonPath(s.ref)
	} else if s.ref != "" {
		s.ref = "Location"
	}
	return s, err
}

// newVerb reads "<name>.method" and "<name>.path" over "method" and "path".
func newVerb(a connector.Account, name string) (verb, error) {
	own := a.Text(name+".method") != "" || a.Text(name+".path") != ""
	v := verb{name: name, own: own, method: strings.ToUpper(or(a.Text(name+".method"), or(a.Text("method"), http.MethodPut)))}
	setting, path := name+".path", a.Text(name+".path")
	if path == "" {
		setting, path = "path", or(a.Text("path"), "/people/{id}")
	}
	switch v.method {
	case http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete:
	default:
		return v, fmt.Errorf("%s.method: %q is not one of PUT, POST, PATCH, DELETE", name, v.method)
	}
	var err error
	if v.target, err = parseTarget(setting, path, writeNames); err != nil {
		return v, err
	}
	for k, value := range a.Table("query") {
		if v.target.query[k], err = pieces("query", value, writeNames...); err != nil {
			return v, err
		}
	}
	return v, nil
}

func newClient(a connector.Account) (*httpx.Client, error) {
	if a.BaseURL == "" {
		return nil, fmt.Errorf("base_url: name the address of the target")
	}
	auth, err := authorize(a)
	if err != nil {
		return nil, err
	}
	class, err := classify(a.Table("classes"))
	if err != nil {
		return nil, err
	}
	return httpx.New(httpx.Options{
		BaseURL: a.BaseURL, Transport: a.Transport, Now: a.Now, Auth: auth, Classify: class,
	}), nil
}

// authorize puts the secret api on a request.
func authorize(a connector.Account) (func(*http.Request) error, error) {
	kind := or(a.Text("auth"), "none")
	if kind == "none" {
		return nil, nil
	}
	secret := a.Secrets["api"].Reveal()
	if secret == "" {
		return nil, fmt.Errorf("auth: %s needs the secret api", kind)
	}
	header, value := "Authorization", ""
	switch kind {
	case "bearer":
		value = "Bearer " + secret
	case "basic":
		value = "Basic " + base64.StdEncoding.EncodeToString([]byte(secret))
	case "header":
		if header, value = a.Text("auth.header"), secret; header == "" {
			return nil, fmt.Errorf("auth.header: name the header that carries the secret")
		}
	default:
		return nil, fmt.Errorf("auth: %q is not one of none, bearer, basic, header", kind)
	}
	return func(r *http.Request) error { r.Header.Set(header, value); return nil }, nil
}

// check asks the base URL: any answer that is neither a refusal of the
// credential nor a failure of the server will do, as nothing more is known.
type check struct{ client *httpx.Client }

func newCheck(a connector.Account) (connector.Check, error) {
	client, err := newClient(a)
	return check{client}, err
}

// Check tells whether the target answers and takes the credential.
func (c check) Check(ctx context.Context) error {
	a, err := c.client.Do(ctx, httpx.Call{Method: http.MethodGet, Template: "/"})
	if fault.Of(err) != nil && fault.Of(err).Class == fault.Record && a.Status != 0 {
		return nil
	}
	return err
}
