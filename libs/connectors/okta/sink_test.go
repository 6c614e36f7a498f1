package okta

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connector/sinktest"
	"github.com/muster-hr/muster/libs/secret"
)

func body(p sinktest.Person) map[string]any {
	return map[string]any{"profile": map[string]any{
		"login": p.Email, "email": p.Email, "firstName": p.Given, "lastName": p.Family,
		"employeeNumber": p.Number, "title": p.Title,
	}}
}

func setup() sinktest.Setup {
	return sinktest.Setup{
		Type: Type,
		Account: connector.Account{
			Name: "okta", Secrets: map[string]secret.Value{"token": secret.New("token-1")},
			Settings: map[string]any{"our_id_attribute": "hubId", "consistency": 50 * time.Millisecond},
		},
		Fake:    fake.Options{Settings: map[string]string{"token": "token-1"}},
		Body:    body,
		Also:    func(d connector.Delivery) []string { return []string{d.ID} },
		Finds:   true,
		Partial: true,
		Gone: func(p map[string]any) bool {
			return p == nil || p["status"] == "DEPROVISIONED" || p["status"] == "SUSPENDED"
		},
		Stale: func(s *sinktest.Setup, lag time.Duration) {
			s.Fake.Settings["stale_for"] = lag.String()
			s.Account.Settings["consistency"] = lag
		},
		Throttled: fake.Response{
			Status: http.StatusTooManyRequests,
			Headers: map[string]string{
				"Date": "Mon, 23 Nov 2026 09:20:01 GMT", "X-Rate-Limit-Reset": "1795425641",
			},
			Body: json.RawMessage(`{"errorCode":"E0000047","errorSummary":"API call exceeded rate limit due to too many requests."}`),
		},
		Wait:   41 * time.Second,
		Denied: fake.Response{Status: http.StatusUnauthorized, Body: json.RawMessage(`{"errorCode":"E0000011","errorSummary":"Invalid token provided"}`)},
		Invalid: fake.Response{Status: http.StatusBadRequest, Body: json.RawMessage(`{"errorCode":"E0000001",
			"errorSummary":"Api validation failed: lastName","errorId":"oae1",
			"errorCauses":[{"errorSummary":"` + sinktest.Planted + `: too long"},{"errorSummary":"lastName: ` + sinktest.Planted + ` is too long"}]}`)},
	}
}

func TestSinkKeepsThePromises(t *testing.T) { sinktest.Run(t, setup()) }

func TestSinkThatSuspendsLeaversKeepsThePromises(t *testing.T) {
	s := setup()
	s.Account.Settings = map[string]any{"terminated_action": "suspend", "consistency": 50 * time.Millisecond}
	s.Also = nil
	sinktest.Run(t, s)
}
