package fake_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connectors/greenhouse"
	"github.com/muster-hr/muster/libs/secret"
)

// account is a fake whose web hooks are opened by the connector.
func account(t *testing.T) (fake.Vendor, *[]connector.Record) {
	t.Helper()
	w, err := greenhouse.Type.Webhook(connector.Account{Secrets: map[string]secret.Value{"webhook": secret.New("s")}})
	if err != nil {
		t.Fatal(err)
	}
	var got []connector.Record
	v := greenhouse.Type.Fake(fake.Options{
		Secret: "s",
		Now:    func() time.Time { return time.Date(2026, 6, 18, 14, 2, 10, 0, time.UTC) },
		Send: func(ctx context.Context, h fake.Hook) {
			recs, res, err := w.Open(ctx, connector.Request{Method: "POST", Header: h.Header, Body: h.Body})
			if err != nil || res.Status != 200 {
				t.Errorf("the connector refused its own fake: %d, %v", res.Status, err)
			}
			got = append(got, recs...)
		},
	})
	return v, &got
}

func TestHireAndUnhire(t *testing.T) {
	v, got := account(t)
	out, err := v.Do(t.Context(), "hire", map[string]any{
		"given": "Zofia", "family": "O'Brien & Syn", "start": "2026-10-01", "title": "Engineer",
		"department": "R&D", "salary": "225000", "currency": "PLN",
	})
	if err != nil {
		t.Fatal(err)
	}
	id, _ := out["id"].(string)
	if _, err := v.Do(t.Context(), "unhire", map[string]any{"id": id}); err != nil {
		t.Fatal(err)
	}
	if len(*got) != 2 || (*got)[0].Event != "hire_candidate" || (*got)[1].Event != "unhire_candidate" {
		t.Fatalf("records %+v", *got)
	}
	for _, r := range *got {
		if r.Key != id || r.Kind != connector.KindRecord {
			t.Errorf("record of %q, want %q", r.Key, id)
		}
	}
	if (*got)[0].ID == (*got)[1].ID {
		t.Error("hire and unhire share an id")
	}
	people, writes := v.Log().State()
	if people[id]["status"] != "active" || people[id]["salary"] != "225000" || len(writes) != 0 {
		t.Errorf("state %v, writes %v", people, writes)
	}
}

// The fake's body has every path of the documented one that the mapping reads.
func TestBodyIsTheDocumentedOne(t *testing.T) {
	v, got := account(t)
	if _, err := v.Do(t.Context(), "hire", map[string]any{"given": "Zofia", "family": "Lis", "start": "2026-10-01", "title": "T", "department": "D", "location": "L", "salary": 225000.0, "currency": "PLN"}); err != nil {
		t.Fatal(err)
	}
	var b struct {
		Payload struct {
			Application struct {
				ID        int64
				Candidate struct {
					EmailAddresses []struct{ Type, Value string } `json:"email_addresses"`
				}
				Jobs []struct {
					Name        string
					Departments []struct{ Name string }
					Offices     []struct{ Name string }
				}
				Offer struct {
					StartsAt     string `json:"starts_at"`
					CustomFields struct {
						Salary struct {
							Type  string
							Value struct {
								Amount json.Number
								Unit   string
							}
						}
					} `json:"custom_fields"`
				}
			}
		}
	}
	if err := json.Unmarshal((*got)[0].Body, &b); err != nil {
		t.Fatal(err)
	}
	a := b.Payload.Application
	if a.ID == 0 || a.Jobs[0].Name != "T" || a.Jobs[0].Departments[0].Name != "D" || a.Jobs[0].Offices[0].Name != "L" ||
		a.Offer.StartsAt != "2026-10-01" || len(a.Candidate.EmailAddresses) != 2 {
		t.Errorf("application %+v", a)
	}
	if s := a.Offer.CustomFields.Salary; s.Type != "currency" || s.Value.Amount != "225000" || s.Value.Unit != "PLN" {
		t.Errorf("salary %+v", s)
	}
}

func TestRehireIsTheSameCandidate(t *testing.T) {
	v, got := account(t)
	args := map[string]any{"given": "Zofia", "family": "Lis"}
	out, err := v.Do(t.Context(), "hire", args)
	if err != nil {
		t.Fatal(err)
	}
	args["id"] = out["id"]
	if _, err := v.Do(t.Context(), "hire", args); err != nil {
		t.Fatal(err)
	}
	if (*got)[0].Key != (*got)[1].Key || string((*got)[0].Body) == string((*got)[1].Body) {
		t.Error("a new application of the same candidate has the same key and another body")
	}
}

func TestPingAndRefusals(t *testing.T) {
	v, got := account(t)
	if _, err := v.Do(t.Context(), "ping", nil); err != nil || (*got)[0].Kind != connector.KindPing {
		t.Errorf("ping: %v", err)
	}
	if _, err := v.Do(t.Context(), "raise", nil); !isUnknown(err) {
		t.Errorf("raise: %v", err)
	}
	for verb, args := range map[string]map[string]any{"hire": {"given": "X"}, "unhire": {"id": "1"}} {
		if _, err := v.Do(t.Context(), verb, args); err == nil || isUnknown(err) {
			t.Errorf("%s %v: %v", verb, args, err)
		}
	}
	w := httptest.NewRecorder()
	v.ServeHTTP(w, httptest.NewRequest("GET", "/v3/candidates", nil))
	if w.Code != 404 {
		t.Errorf("answered %d", w.Code)
	}
}

func isUnknown(err error) bool {
	_, ok := errors.AsType[fake.ErrUnknownVerb](err)
	return ok
}
