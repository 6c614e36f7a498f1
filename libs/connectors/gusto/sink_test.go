package gusto

import (
	"encoding/json"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connector/sinktest"
	vendorfake "github.com/muster-hr/muster/libs/connectors/gusto/fake"
	"github.com/muster-hr/muster/libs/secret"
)

const companyID = "a007e1ab-3595-43c2-ab4b-af7a5af2e365"

func body(p sinktest.Person) map[string]any {
	return map[string]any{
		"employee": map[string]any{"first_name": p.Given, "last_name": p.Family, "work_email": p.Email},
		"job":      map[string]any{"title": p.Title, "hire_date": "2026-02-16"},
	}
}

// whole is a body with a part for each of Gusto's objects.
func whole() map[string]any {
	b := body(sinktest.Sample)
	b["employee"] = map[string]any{
		"first_name": "Zoë", "last_name": "O'Brien-Núñez", "email": "zoe.obrien@home.example", "work_email": "zoe.obrien@alpine.example",
		"date_of_birth": "1991-07-04", "ssn": "900123401",
	}
	b["job"] = map[string]any{"title": "Field Engineer", "hire_date": "2026-02-16"}
	b["home_address"] = map[string]any{"street_1": "12 Río Grande Ave", "city": "Portland", "state": "OR", "zip": "97201"}
	b["work_address"] = map[string]any{"location": "Portland"}
	b["compensation"] = map[string]any{"rate": "98750.00", "currency": "USD", "payment_unit": "Year", "flsa_status": "Exempt", "effective_date": "2026-02-16"}
	b["federal_tax"] = map[string]any{"filing_status": "Married", "two_jobs": "false", "dependents_amount": "2000.00", "extra_withholding": "25.00"}
	b["state_taxes"] = []any{map[string]any{"state": "OR", "answers": map[string]any{"filing_status": "S", "withholding_allowance": "1"}}}
	b["benefits"] = []any{map[string]any{"code": "medical", "amount": "142.18", "currency": "USD", "period": "pay_period", "start": "2026-03-01"}}
	return b
}

func setup(of func(sinktest.Person) map[string]any) sinktest.Setup {
	return sinktest.Setup{
		Type: Type,
		Account: connector.Account{
			Name: "gusto", Secrets: map[string]secret.Value{"token": secret.New("token-1")},
			Settings: map[string]any{"company": companyID, "consistency": 10 * time.Millisecond},
		},
		Fake: fake.Options{Settings: map[string]string{"token": "token-1", "company": companyID}},
		Body: of,
		Also: func(d connector.Delivery) []string {
			// The version of the job before it changed.
			return []string{vendorfake.Digest(map[string]any{"title": sinktest.Sample.Title, "hire_date": "2026-02-16"})}
		},
		Finds:   true,
		Partial: true,
		Gone:    func(p map[string]any) bool { return p == nil || p["last_day"] != nil },
		Throttled: fake.Response{
			Status:  http.StatusTooManyRequests,
			Headers: map[string]string{"Retry-After": "41", "X-RateLimit-Limit": "200", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "2026-03-02T14:21:00Z"},
		},
		Wait:   41 * time.Second,
		Denied: fake.Response{Status: http.StatusUnauthorized, Body: json.RawMessage(`{"errors":[{"error_key":"request","category":"invalid_token","message":"The access token is invalid"}]}`)},
		Invalid: fake.Response{Status: http.StatusUnprocessableEntity, Body: json.RawMessage(`{"errors":[{"error_key":"employee","category":"invalid_attribute_value","nested_errors":[
			{"error_key":"last_name","category":"invalid_attribute_value","message":"` + sinktest.Planted + ` is too long","metadata":{"value":"` + sinktest.Planted + `"}},
			{"error_key":"` + sinktest.Planted + `","category":"` + sinktest.Planted + `","message":""}]}]}`)},
	}
}

// placed is a body with a place to work at: a rehire names one.
func placed(p sinktest.Person) map[string]any {
	b := body(p)
	b["work_address"] = map[string]any{"location": "Portland"}
	return b
}

func TestSinkKeepsThePromises(t *testing.T) {
	s := setup(placed)
	portland := placeOf(t, "Portland")
	also := s.Also
	s.Also = func(d connector.Delivery) []string { return append(also(d), portland) }
	sinktest.Run(t, s)
}

// placeOf is the UUID that a fresh fake gives to a city: it counts up.
func placeOf(t *testing.T, city string) string {
	t.Helper()
	w := newWorld(t, nil)
	var list []struct{ UUID, City string }
	w.call(t, http.MethodGet, "/v1/companies/"+companyID+"/locations", nil, &list)
	for _, l := range list {
		if l.City == city {
			return l.UUID
		}
	}
	t.Fatalf("no location in %s", city)
	return ""
}

// TestSinkWithEverythingKeepsThePromises: also where a hire is nine calls.
func TestSinkWithEverythingKeepsThePromises(t *testing.T) {
	s := setup(func(p sinktest.Person) map[string]any {
		b := whole()
		maps.Copy(b["employee"].(map[string]any), map[string]any{"first_name": p.Given, "last_name": p.Family, "work_email": p.Email}) //nolint:forcetypeassert // made above
		b["job"].(map[string]any)["title"] = p.Title                                                                                   //nolint:forcetypeassert // made above
		return b
	})
	s.Also = func(connector.Delivery) []string { return everyLeaf(t) }
	sinktest.Run(t, s)
}
