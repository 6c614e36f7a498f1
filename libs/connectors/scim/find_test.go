package scim

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/sinktest"
	"github.com/muster-hr/muster/libs/fault"
)

// TestFoundInSmallLetters: HR writes a login with capitals, the product keeps
// it in small letters, and its filter compares by case.
func TestFoundInSmallLetters(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		made := w.admin(t, http.MethodPost, "/Users", map[string]any{"schemas": []string{schemaUser}, "userName": sinktest.Sample.Email})
		d := delivery("active", "hr.employee.hired.v1")
		d.Body["userName"] = strings.ToUpper(sinktest.Sample.Email)
		found, err := w.sink(t, nil).Find(t.Context(), d)
		if err != nil || len(found) != 1 || !found[0].Sure || found[0].Refs["id"] != made["id"] {
			t.Errorf("found %v, %v", found, err)
		}
	})
}

// TestSeveralAreForSomebodyToDecide.
func TestSeveralAreForSomebodyToDecide(t *testing.T) {
	page := `{"Resources":[{"id":"1","userName":"x","externalId":"emp-1"},{"id":"2","userName":"y","externalId":"emp-1"},{"id":"1","userName":"x","externalId":"emp-1"}]}`
	s := against(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusConflict)
			return
		}
		_, _ = io.WriteString(w, page)
	}), nil)
	found, err := s.Find(t.Context(), delivery("active", "hr.employee.hired.v1"))
	if err != nil || len(found) != 2 || found[0].Sure || found[1].Sure {
		t.Errorf("found %v, %v", found, err)
	}
	_, err = s.Apply(t.Context(), delivery("active", "hr.employee.hired.v1"), nil)
	if f := fault.Of(err); f == nil || f.Reason != "ambiguous" || f.Class != fault.Record {
		t.Errorf("error %v, want record: ambiguous", err)
	}
}

// TestFindByEmployeeNumber where accounts carry the number already.
func TestFindByEmployeeNumber(t *testing.T) {
	w := faked(t, nil)
	made := w.admin(t, http.MethodPost, "/Users", map[string]any{"userName": "old-login", "externalId": sinktest.Sample.Number})
	s := w.sink(t, map[string]any{"external_id": ourNumber})
	found, err := s.Find(t.Context(), delivery("active", "hr.employee.hired.v1"))
	if err != nil || len(found) != 1 || !found[0].Sure || found[0].Refs["id"] != made["id"] {
		t.Fatalf("found %v, %v", found, err)
	}
	d := delivery("active", "hr.employee.hired.v1")
	d.Refs = found[0].Refs
	r := must(t, s, d)
	if u := w.user(t, r.Refs["id"]); u["externalId"] != sinktest.Sample.Number || u["userName"] != sinktest.Sample.Email {
		t.Errorf("the account is %v", u)
	}
}

// TestTerseServers: a create that is answered by its place alone, a read that
// answers with another user, and an answer that is none.
func TestTerseServers(t *testing.T) {
	var deactivated bool
	s := against(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		switch {
		case r.Method == http.MethodPost:
			w.Header().Set("Location", "https://app.vendor.example/scim/v2/Users/u-7")
			w.WriteHeader(http.StatusCreated)
		case r.Method == http.MethodPatch && strings.HasSuffix(r.URL.Path, "/u-7"):
			deactivated = strings.Contains(string(raw), `"active"`)
			w.WriteHeader(http.StatusNoContent)
		case strings.HasSuffix(r.URL.Path, "/Users/u-8"):
			_ = json.NewEncoder(w).Encode(map[string]any{"id": "u-9", "userName": "stranger"})
		default:
			_, _ = io.WriteString(w, `{}`)
		}
	}), nil)
	r := must(t, s, delivery("active", "hr.employee.hired.v1"))
	if r.Refs["id"] != "u-7" || deactivated {
		t.Errorf("remembers %q, deactivated %v", r.Refs["id"], deactivated)
	}
	// Before the first day it is not believed to be shut.
	if r = must(t, s, delivery("pre_hire", "hr.employee.preboarded.v1")); !deactivated || r.Refs["active"] != "false" {
		t.Error("an account that says nothing of itself is left open")
	}
	d := delivery("active", "hr.employee.updated.v1")
	d.Refs = connector.Refs{"id": "u-8"}
	if _, err := s.Apply(t.Context(), d, nil); fault.Reason(err) != "answer" || fault.Of(err).Class != fault.Transient {
		t.Errorf("another user is taken: %v", err)
	}
}

// TestAfterAScanKeysKeepTheirOrder: our id is stronger than a login.
func TestAfterAScanKeysKeepTheirOrder(t *testing.T) {
	w := faked(t, map[string]string{"filter": "ignored"})
	w.admin(t, http.MethodPost, "/Users", map[string]any{"userName": sinktest.Sample.Email})
	mine := w.admin(t, http.MethodPost, "/Users", map[string]any{"userName": "renamed", "externalId": "emp-1"})
	found, err := w.sink(t, nil).Find(t.Context(), delivery("active", "hr.employee.hired.v1"))
	if err != nil || len(found) != 1 || found[0].Refs["id"] != mine["id"] {
		t.Errorf("found %v, %v", found, err)
	}
	var pages []string
	for _, c := range w.calls {
		pages = append(pages, c.path)
	}
	if slices.ContainsFunc(pages, func(p string) bool { return strings.Contains(p, "startIndex=0") }) {
		t.Errorf("pages begin at 1: %v", pages)
	}
}

// TestCaseAloneIsNoChange on a server that keeps logins in small letters.
func TestCaseAloneIsNoChange(t *testing.T) {
	w := faked(t, map[string]string{"user_name": "lower"})
	s := w.sink(t, nil)
	d := delivery("active", "hr.employee.hired.v1")
	d.Body["userName"] = "Zofia.Zak@Brightfjord.example"
	r := must(t, s, d)
	if r.Refs[refKept] != "" {
		t.Errorf("noted %q", r.Refs[refKept])
	}
	if r = must(t, s, after(d, r, "active", "hr.employee.updated.v1")); r.Outcome != "unchanged" {
		t.Errorf("outcome %q, sent %v", r.Outcome, r.Sent)
	}
}

// TestServerThatNeverSaysActive: what we left it as counts.
func TestServerThatNeverSaysActive(t *testing.T) {
	w := faked(t, map[string]string{"drops": "active"})
	s := w.sink(t, nil)
	d := delivery("active", "hr.employee.hired.v1")
	r := must(t, s, d)
	w.changes()
	must(t, s, after(d, r, "active", "hr.employee.updated.v1"))
	if c := w.changes(); len(c) != 0 {
		t.Errorf("%d writing calls for a delivery that changes nothing", len(c))
	}
}
