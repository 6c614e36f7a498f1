package moodle

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connector/sinktest"
	"github.com/muster-hr/muster/libs/secret"
)

const token = "0123456789abcdef0123456789abcdef"

func body(p sinktest.Person) map[string]any {
	return map[string]any{
		"username": "zofia.lukasik-zak@brightfjord.example", "email": p.Email, "firstname": p.Given, "lastname": p.Family, "idnumber": p.Number,
		"customfields": map[string]any{"title": p.Title}, "cohorts": []any{"onboarding"}, "courses": []any{"88"},
	}
}

func setup(settings map[string]any) sinktest.Setup {
	return sinktest.Setup{
		Type: Type,
		Account: connector.Account{
			Name: "moodle", Settings: settings, Secrets: map[string]secret.Value{"token": secret.New(token)},
		},
		Fake:    fake.Options{Settings: map[string]string{"token": token, "debugging": "on"}},
		Body:    body,
		Reads:   reads,
		Finds:   true,
		Partial: true,
		Gone:    func(p map[string]any) bool { return p == nil || p["suspended"] == true },
		Throttled: fake.Response{
			Status: 429, Headers: map[string]string{"Retry-After": "30"}, Body: json.RawMessage(`"<html>slow down</html>"`),
		},
		Wait:   30 * time.Second,
		Denied: fake.Response{Status: 200, Body: json.RawMessage(`{"exception":"core\\exception\\moodle_exception","errorcode":"invalidtoken","message":"Invalid token"}`)},
		Invalid: fake.Response{Status: 200, Body: json.RawMessage(`{"exception":"invalid_parameter_exception","errorcode":"invalidparameter",
			"message":"` + sinktest.Planted + `","debuginfo":"Invalid language code: ` + sinktest.Planted + `"}`)},
	}
}

func function(raw []byte) string {
	q, _ := url.ParseQuery(string(raw))
	return q.Get("wsfunction")
}

func reads(_, _ string, raw []byte) bool {
	f := function(raw)
	return strings.HasPrefix(f, "core_user_get_") || f == fnSearchCohorts
}

func TestSinkKeepsThePromises(t *testing.T) {
	for name, settings := range map[string]map[string]any{
		"as shipped":           nil,
		"with our id":          {"our_id_field": "musterid", "read_back": false},
		"one call, one person": {"calls": 1, "batch": 1},
		"passwords in Moodle":  {"auth": "manual", "create_password": true},
	} {
		t.Run(name, func(t *testing.T) { sinktest.Run(t, setup(settings)) })
	}
}

func TestUnusableAccountsAreRefused(t *testing.T) {
	good := map[string]secret.Value{"token": secret.New(token)}
	for name, a := range map[string]connector.Account{
		"no address":               {Secrets: good},
		"no token":                 {BaseURL: "https://learn.example"},
		"passwords without a mail": {BaseURL: "https://learn.example", Secrets: good, Settings: map[string]any{"auth": "manual"}},
	} {
		if _, err := Type.Sink(a); err == nil || strings.Contains(err.Error(), token) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
