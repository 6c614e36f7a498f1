package scim

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connector/sinktest"
	"github.com/muster-hr/muster/libs/secret"
	"github.com/muster-hr/muster/libs/testkit/scimd"
)

// body is a person of the promises, as the shipped mapping would have it.
func body(p sinktest.Person) map[string]any {
	return map[string]any{
		"userName": p.Email, "name": map[string]any{"givenName": p.Given, "familyName": p.Family}, "title": p.Title,
		"emails":     []any{map[string]any{"type": "work", "value": p.Email, "primary": true}},
		"enterprise": map[string]any{"employeeNumber": p.Number},
	}
}

// also are the words of the protocol, and what a PUT gives back.
func also(d connector.Delivery) []string {
	return []string{d.ID, d.Refs[refID], schemaUser, schemaEnterprise, schemaPatch, "replace", "add", "remove",
		"active", "title", "userName", `emails[type eq "work"].value`, "name.givenName"}
}

func promises(vendor map[string]string, settings map[string]any) sinktest.Setup {
	s := sinktest.Setup{
		Type: Type,
		Account: connector.Account{
			Name: "scim", Secrets: map[string]secret.Value{"token": secret.New("test-token")},
			Settings: map[string]any{"consistency": 50 * time.Millisecond},
		},
		Fake: fake.Options{Settings: map[string]string{"token": "test-token"}},
		Body: body, Also: also, Gone: isGone, Finds: true, Partial: true,
		Stale: func(s *sinktest.Setup, lag time.Duration) {
			s.Fake.Settings["stale_for"] = lag.String()
			s.Account.Settings["consistency"] = lag
		},
		Throttled: fake.Response{
			Status: http.StatusTooManyRequests, Headers: map[string]string{"Retry-After": "30"},
			Body: json.RawMessage(`{"Errors":{"description":"ratelimited","code":429}}`),
		},
		Wait:   30 * time.Second,
		Denied: fake.Response{Status: http.StatusForbidden, Body: json.RawMessage(`{"schemas":["` + schemaError + `"],"status":"403"}`)},
		Invalid: fake.Response{Status: http.StatusBadRequest, Body: json.RawMessage(`{"schemas":["` + schemaError + `"],
			"status":"400","scimType":"invalidValue","detail":"'` + sinktest.Planted + `' is no 'title'"}`)},
	}
	for k, v := range vendor {
		s.Fake.Settings[k] = v
	}
	for k, v := range settings {
		s.Account.Settings[k] = v
	}
	return s
}

func isGone(p map[string]any) bool { return p == nil || p["active"] == false }

// TestSinkKeepsThePromises against servers of every kind that the fake can be.
func TestSinkKeepsThePromises(t *testing.T) {
	for name, c := range map[string]struct {
		vendor   map[string]string
		settings map[string]any
		whole    bool // every write carries the whole user
	}{
		"as SCIMMY":               {},
		"knows paths only":        {vendor: map[string]string{"patch": "path", "patch_answer": "empty"}},
		"knows no paths":          {vendor: map[string]string{"patch": "pathless"}, settings: map[string]any{"patch_style": stylePathless}},
		"knows no paths, adds":    {vendor: map[string]string{"patch": "pathless"}, settings: map[string]any{"patch_style": stylePathlessAdd}},
		"has no PATCH":            {vendor: map[string]string{"patch": "none"}, whole: true},
		"has no PATCH, hides it":  {vendor: map[string]string{"patch": "none", "discovery": "none"}, whole: true},
		"ignores filters":         {vendor: map[string]string{"filter": "ignored"}},
		"has no filters":          {vendor: map[string]string{"filter": "none"}},
		"has versions":            {vendor: map[string]string{"etag": "on"}},
		"drops our id":            {vendor: map[string]string{"drops": "externalId"}},
		"opens what it makes":     {vendor: map[string]string{"opens": "true", "user_name": "lower"}},
		"answers without details": {vendor: map[string]string{"errors": "plain"}},
		"DELETE deactivates":      {vendor: map[string]string{"delete": "deactivates"}, settings: map[string]any{"terminated_action": "delete"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := promises(c.vendor, c.settings)
			s.Partial = !c.whole
			if name == "drops our id" {
				s.Stale = nil // that promise withholds the login, and nothing else is left
			}
			sinktest.Run(t, s)
		})
	}
}

// TestSinkKeepsThePromisesToARealServer in its variants: one server each, which
// is emptied before every promise.
func TestSinkKeepsThePromisesToARealServer(t *testing.T) {
	for name, o := range map[string]scimd.Options{
		"Express 4": {}, "Express 5, ignored pages": {Express5: true},
		"ignored filters": {IgnoreFilters: true}, "ignored filters and pages": {IgnoreFilters: true, Express5: true},
	} {
		t.Run(name, func(t *testing.T) {
			server := scimd.Start(t, o)
			s := promises(nil, nil)
			s.Stale, s.Fake = nil, fake.Options{}
			s.Reads = func(method, _ string, _ []byte) bool { return method == http.MethodGet }
			s.Account.Secrets = map[string]secret.Value{"token": secret.New(server.Token)}
			s.Stand = func(t *testing.T, faults *fake.Faults, saw func(string, string, []byte)) sinktest.Stand {
				w := before(t, server, faults)
				w.saw = saw
				return sinktest.Stand{BaseURL: w.url, State: func() (map[string]map[string]any, []fake.Write) { return w.state(t) }}
			}
			sinktest.Run(t, s)
		})
	}
}
