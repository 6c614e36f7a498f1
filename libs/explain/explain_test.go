package explain_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connectors"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/explain"
	"github.com/muster-hr/muster/libs/secret"
)

// now is after every sample was made and before its people start.
var now = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

const key = "a-key-of-this-test"

func none(string) string { return "" }

func company(t *testing.T, name string) *config.Company {
	t.Helper()
	c, problems := config.Load(filepath.Join("..", "..", "deploy", name), connectors.All)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return c
}

func read(t *testing.T, path ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{"testdata"}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mac(parts ...string) string {
	m := hmac.New(sha256.New, []byte(key))
	for _, p := range parts {
		m.Write([]byte(p))
	}
	return hex.EncodeToString(m.Sum(nil))
}

// signed is a call as the vendor would make it.
func signed(vendor, file string, body []byte) explain.Call {
	h := http.Header{"Content-Type": {"application/json"}}
	if strings.HasSuffix(file, ".txt") {
		h.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if vendor == "greenhouse" {
		h.Set("Signature", "sha256 "+mac(string(body)))
		h.Set("Greenhouse-Event-ID", "1")
	} else {
		h.Set("X-BambooHR-Timestamp", "1773144000")
		h.Set("X-BambooHR-Signature", mac(string(body), "1773144000"))
	}
	return explain.Call{Header: h, Body: body, Now: now, Secrets: map[string]string{"webhook": key}, Getenv: none}
}

// TestExplainingHasNoEffect: the handshake of a webhook brings a token that only
// ingress writes down.
func TestExplainingHasNoEffect(t *testing.T) {
	c := company(t, "all")
	src := c.Sources["gusto"]
	file := filepath.Join(t.TempDir(), "token")
	src.Settings = maps.Clone(src.Settings)
	src.Settings["verification_token_file"] = file
	src.Secrets = nil
	got, err := explain.Source(t.Context(), c, "gusto", explain.Call{
		Body: []byte(`{"verification_token":"Ab3xkQ0vJt1m9Yz7","webhook_subscription_uuid":"8f2e1b6c"}`), Now: now, Getenv: none,
	})
	if err != nil || !got.Verified || len(got.Records) != 1 || got.Records[0].Kind != connector.KindPing {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the token was written: %v", err)
	}
}

// samples lists what a vendor sends: polled answers are told by their names.
func samples(t *testing.T, vendor string) map[string]explain.Call {
	t.Helper()
	files, err := os.ReadDir(filepath.Join("testdata", vendor))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]explain.Call{}
	for _, f := range files {
		name := f.Name()
		if name == "webhook-signature-vector.json" {
			continue // TestVector
		}
		body := read(t, vendor, name)
		out[name] = signed(vendor, name, body)
		if vendor == "bamboohr" && !strings.HasPrefix(name, "webhook-") {
			out[name] = explain.Call{Body: body, Poll: true, Now: now, Getenv: none}
		}
	}
	return out
}

// kinds is what the vendors' descriptions say each sample is.
var kinds = map[string][]connector.Kind{
	"hire_candidate.json": {"record"}, "unhire_candidate.json": {"record"}, "ping.json": {"ping"},
	"merge_candidate.json": {"ignored"}, "offer_updated.json": {"ignored"},
	"harvest_v1_offer_historic.json": {"record"}, // no webhook at all: a dead letter

	"employee.json": {"record"}, "employees-changed.json": {"hint", "hint", "hint"}, "employees-changed-tables-jobInfo.json": {"record"},
	"table-compensation.json": {"record"}, "table-employmentStatus.json": {"record"}, "table-jobInfo.json": {"record"},
	"webhook-employee-created.json": {"hint"}, "webhook-employee-deleted.json": {"hint"}, "webhook-employee-updated.json": {"hint"},
	"webhook-field-based.json": {"record", "hint"}, "webhook-field-based-legacy.json": {"record"},
	"webhook-form-encoded-event-based.txt": {"hint"}, "webhook-form-encoded-field-based.txt": {"record"},
}

// TestSamples explains every sample of both vendors. The whole answers stand in
// testdata/want; UPDATE_EXPLAIN=1 writes them anew.
func TestSamples(t *testing.T) {
	c := company(t, "all")
	seen := 0
	for _, vendor := range []string{"greenhouse", "bamboohr"} {
		for file, call := range samples(t, vendor) {
			seen++
			t.Run(vendor+"/"+file, func(t *testing.T) {
				got, err := explain.Source(t.Context(), c, vendor, call)
				if err != nil {
					t.Fatal(err)
				}
				var is []connector.Kind
				for _, r := range got.Records {
					is = append(is, r.Kind)
				}
				if !slices.Equal(is, kinds[file]) {
					t.Errorf("kinds %v, want %v", is, kinds[file])
				}
				compare(t, filepath.Join("testdata", "want", vendor+"-"+strings.TrimSuffix(file, filepath.Ext(file))+".json"), got)
			})
		}
	}
	if seen != len(kinds) {
		t.Errorf("%d samples for %d expectations", seen, len(kinds))
	}
}

func compare(t *testing.T, file string, got any) {
	t.Helper()
	b, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	b = append(b, '\n')
	if os.Getenv("UPDATE_EXPLAIN") != "" {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(b)); diff != "" {
		t.Errorf("differs from %s:\n%s", file, diff)
	}
}

// TestWrongSignature: one bit of any sample's body, another key or no header at
// all is refused, with the answer that ingress gives.
func TestWrongSignature(t *testing.T) {
	c := company(t, "all")
	for _, vendor := range []string{"greenhouse", "bamboohr"} {
		for file, call := range samples(t, vendor) {
			if call.Poll {
				continue
			}
			flipped := call
			flipped.Body = slices.Clone(call.Body)
			flipped.Body[len(flipped.Body)/2] ^= 1
			other := call
			other.Secrets = map[string]string{"webhook": key + "x"}
			bare := call
			bare.Header = http.Header{}
			for what, bad := range map[string]explain.Call{"signature": flipped, "signature of another key": other, "missing": bare} {
				got, err := explain.Source(t.Context(), c, vendor, bad)
				if err != nil {
					t.Fatalf("%s: %v", file, err)
				}
				reason, _, _ := strings.Cut(what, " ")
				if got.Verified || got.Reason != reason || len(got.Records) != 0 || got.Respond.Status != http.StatusUnauthorized ||
					!strings.Contains(got.Respond.Body, "not authentic: "+reason) {
					t.Errorf("%s, %s: %+v", file, what, got)
				}
			}
		}
	}
}

// TestVector is the vendor's own example of a signed call.
func TestVector(t *testing.T) {
	var v struct {
		Secret, Body string
		Headers      map[string]string
	}
	if err := json.Unmarshal(read(t, "bamboohr", "webhook-signature-vector.json"), &v); err != nil {
		t.Fatal(err)
	}
	call := explain.Call{Header: http.Header{}, Body: []byte(v.Body), Now: now, Secrets: map[string]string{"webhook": v.Secret}, Getenv: none}
	for name, value := range v.Headers {
		call.Header.Set(name, value)
	}
	got, err := explain.Source(t.Context(), company(t, "all"), "bamboohr", call)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Verified || len(got.Records) != 1 || got.Records[0].Kind != connector.KindHint || got.Records[0].Key != "4117" {
		t.Errorf("%+v", got)
	}
}

func TestStages(t *testing.T) {
	c := company(t, "acme")
	got, err := explain.Source(t.Context(), c, "greenhouse", signed("greenhouse", "", read(t, "greenhouse", "hire_candidate.json")))
	if err != nil {
		t.Fatal(err)
	}
	stages := map[string]explain.Stage{}
	for _, s := range got.Records[0].Stages {
		stages[s.Stage] = s
	}
	for stage, want := range map[string]explain.Stage{
		"verify": {Stage: "verify", Outcome: "ok", Rule: "signature"}, "map": {Stage: "map", Outcome: "ok"},
		"identify": {Stage: "identify", Outcome: "new", Rule: "new", Path: "work_email"}, "order": {Stage: "order", Outcome: "ok", Rule: "id"},
		"effective": {Stage: "effective", Outcome: "ok"},
	} {
		if stages[stage] != want {
			t.Errorf("%s: %+v, want %+v", stage, stages[stage], want)
		}
	}
	c.Authority = config.Authority{Default: []string{"bamboohr"}}
	got, err = explain.Source(t.Context(), c, "greenhouse", signed("greenhouse", "", read(t, "greenhouse", "hire_candidate.json")))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(got.Records[0].Stages, explain.Stage{Stage: "authority", Outcome: "conflict", Rule: "no_authority", Path: "name.given"}) {
		t.Errorf("no conflict is told: %+v", got.Records[0].Stages)
	}
	echo, err := explain.Source(t.Context(), c, "bamboohr", explain.Call{Body: read(t, "bamboohr", "employee.json"), Poll: true, Now: now, Getenv: none})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(echo.Records[0].Stages, explain.Stage{Stage: "identify", Outcome: "waiting", Rule: "link_wait", Path: "employee_number"}) {
		t.Errorf("an unknown key of an account that is also a target: %+v", echo.Records[0].Stages)
	}
}

func TestWrongInput(t *testing.T) {
	c := company(t, "all")
	for what, f := range map[string]func() error{
		"source": func() error {
			_, err := explain.Source(t.Context(), c, "nobody", explain.Call{Getenv: none})
			return err
		},
		"target": func() error {
			_, err := explain.Target(t.Context(), c, "nobody", explain.Want{Getenv: none})
			return err
		},
		"secret": func() error {
			_, err := explain.Source(t.Context(), c, "greenhouse", explain.Call{Getenv: none, Secrets: map[string]string{"password": "x"}})
			return err
		},
		"no secret": func() error {
			_, err := explain.Source(t.Context(), c, "greenhouse", explain.Call{Getenv: none})
			return err
		},
		"poll": func() error {
			_, err := explain.Source(t.Context(), c, "greenhouse", explain.Call{Getenv: none, Poll: true})
			return err
		},
		"headers":  func() error { _, err := explain.ReadHeaders([]byte("Signature sha256")); return err },
		"employee": func() error { _, err := explain.ReadEmployee([]byte("[]")); return err },
	} {
		if err := f(); !errors.Is(err, explain.ErrInput) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestHeaders(t *testing.T) {
	for _, text := range []string{"Signature: sha256 ab:cd\n\nX-A:1\r\n", `{"Signature": "sha256 ab:cd", "x-a": "1"}`} {
		h, err := explain.ReadHeaders([]byte(text))
		if err != nil || h.Get("Signature") != "sha256 ab:cd" || h.Get("X-A") != "1" {
			t.Errorf("%q: %v %v", text, h, err)
		}
	}
}

// exchange is one request as Okta's documentation shows it.
type exchange struct {
	Request struct {
		Method, Path string
		Body         map[string]any
	}
}

func okta(t *testing.T, name string) exchange {
	t.Helper()
	var x exchange
	if err := json.Unmarshal(read(t, "okta", name+".exchange.json"), &x); err != nil {
		t.Fatal(err)
	}
	return x
}

// person is the employee behind the exchanges, by a mapping of their attributes.
func person(t *testing.T, profile map[string]any, status string) employee.Tree {
	t.Helper()
	get := func(name string) any { return profile[name] }
	return employee.Tree{
		"id": "01JD0000000000000000000001", "employee_number": get("employeeNumber"), "work_email": get("login"),
		"name": employee.Tree{"given": get("firstName"), "family": get("lastName")}, "birth_date": "1990-01-02",
		"employment":   employee.Tree{"status": status},
		"compensation": employee.Tree{"amount": "7000.00", "currency": "PLN"},
		"positions": []any{employee.Tree{"primary": true, "title": get("title"), "department": get("department"), "division": get("division"),
			"cost_center": get("costCenter"), "manager": "01JD0000000000000000000002"}},
	}
}

// TestOkta: what is sent is what Okta's exchanges show, in method, path and
// body, as far as the shipped mapping knows their attributes.
func TestOkta(t *testing.T) {
	c := company(t, "all")
	const id = "00u7k2m9qwXr4LbTz5d7"
	created := okta(t, "create-staged")
	whole, _ := created.Request.Body["profile"].(map[string]any)
	moved, _ := okta(t, "update-partial").Request.Body["profile"].(map[string]any)
	later := map[string]any{}
	for k, v := range whole {
		later[k] = v
	}
	for k, v := range moved {
		later[k] = v
	}
	// What the shipped mapping does not send: display name, the manager by
	// number and name, the place, the languages.
	unmapped := []string{"displayName", "managerId", "manager", "userType", "city", "countryCode", "locale", "preferredLanguage"}
	for _, x := range []struct {
		sample string
		now    employee.Tree
		before *explain.Before
	}{
		{"create-staged", person(t, whole, "pre_hire"), nil},
		{"activate", person(t, whole, "active"), &explain.Before{Employee: person(t, whole, "pre_hire"), Refs: connector.Refs{"id": id, "status": "STAGED"}}},
		{"update-partial", person(t, later, "active"), &explain.Before{Employee: person(t, whole, "active"), Refs: connector.Refs{"id": id, "status": "ACTIVE"}}},
		{"deactivate", person(t, whole, "terminated"), &explain.Before{Employee: person(t, whole, "active"), Refs: connector.Refs{"id": id, "status": "ACTIVE"}}},
	} {
		t.Run(x.sample, func(t *testing.T) {
			got, err := explain.Target(t.Context(), c, "okta", explain.Want{Employee: x.now, Before: x.before, Now: now, Getenv: none})
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Requests) != 1 {
				t.Fatalf("%d requests: %+v", len(got.Requests), got)
			}
			r, want := got.Requests[0], okta(t, x.sample).Request
			u, err := url.Parse(r.URL)
			if err != nil || u.Scheme+"://"+u.Host != "https://all.okta.com" {
				t.Errorf("url %s", r.URL)
			}
			var body map[string]any
			if want.Body != nil {
				p, _ := want.Body["profile"].(map[string]any)
				for _, name := range unmapped {
					delete(p, name)
				}
				body = want.Body
			}
			gotBody, _ := r.Body.(map[string]any)
			if r.Method != want.Method || u.RequestURI() != want.Path || cmp.Diff(body, gotBody) != "" {
				t.Errorf("%s %s %v\nwant %s %s %v", r.Method, u.RequestURI(), gotBody, want.Method, want.Path, body)
			}
			if r.Headers["Authorization"] != "***" {
				t.Errorf("the credential is shown: %v", r.Headers)
			}
			for _, p := range []string{"birth_date", "compensation.amount", "compensation.currency"} {
				if !slices.Contains(got.Withheld, p) {
					t.Errorf("%s is not told as withheld: %v", p, got.Withheld)
				}
			}
			if !slices.Contains(got.Flags, explain.FlagWaitsFor) {
				t.Errorf("nobody waits for the manager: %v", got.Flags)
			}
		})
	}
}

// TestAManagerWhoIsNotThere is left out and told, whether known by our id or
// only by the name that a source gave.
func TestAManagerWhoIsNotThere(t *testing.T) {
	for _, manager := range []any{"01JD0000000000000000000002", map[string]any{"work_email": "boss@acme.example"}, employee.Awaited("match.email.x"), nil} {
		who := person(t, map[string]any{"login": "a@b.example", "firstName": "A", "lastName": "B", "title": "T", "department": "D"}, "active")
		position, _ := who["positions"].([]any)[0].(employee.Tree)
		position["manager"] = manager
		for target, place := range map[string]string{"okta": "managerId", "scim": "manager", "ldap": "manager"} {
			got, err := explain.Target(t.Context(), company(t, "all"), target, explain.Want{Employee: who, Now: now, Getenv: none})
			if err != nil {
				t.Fatal(err)
			}
			if slices.Contains(got.Flags, explain.FlagWaitsFor) != (manager != nil) {
				t.Errorf("%s: a manager %v makes the flags %v", target, manager, got.Flags)
			}
			for _, r := range got.Requests {
				if body := fmt.Sprint(r.Body); manager != nil && strings.Contains(body, place) {
					t.Errorf("%s: a manager %v is sent: %s", target, manager, body)
				}
			}
		}
	}
}

func TestTargetUnchanged(t *testing.T) {
	who := person(t, map[string]any{"login": "a@b.example", "firstName": "A", "lastName": "B"}, "active")
	for _, name := range []string{"okta", "bamboohr"} {
		got, err := explain.Target(t.Context(), company(t, "all"), name, explain.Want{
			Employee: who, Before: &explain.Before{Employee: who, Refs: connector.Refs{"id": "4711", "status": "ACTIVE"}}, Now: now, Getenv: none})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Requests) != 0 || !slices.Contains(got.Flags, explain.FlagUnchanged) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestEveryTarget: a create at each target of the companies we ship sends
// something, with no value outside the allow-list and no credential.
func TestEveryTarget(t *testing.T) {
	who := person(t, map[string]any{"login": "zofia@acme.example", "firstName": "Zofia", "lastName": "Ł", "employeeNumber": "17", "title": "T", "department": "D"}, "pre_hire")
	employment, _ := who["employment"].(employee.Tree)
	employment["hire_date"] = "2026-04-01"
	employment["type"] = "full_time"
	who["national_ids"] = []any{employee.Tree{"country": "US", "kind": "ssn", "value": "219-09-9999"}}
	for _, name := range []string{"acme", "all"} {
		c := company(t, name)
		for _, target := range c.TargetNames() {
			t.Run(name+"/"+target, func(t *testing.T) {
				if pay, _ := who["compensation"].(employee.Tree); target == "gusto" {
					pay["currency"], pay["period"] = "USD", "year" // it pays in nothing else
				}
				employment["status"] = "pre_hire"
				files := c.Targets[target].Type.Files != nil
				if files {
					employment["status"] = "active" // they are told of nobody before
				}
				got, err := explain.Target(t.Context(), c, target, explain.Want{Employee: who, Now: now, Getenv: none})
				if err != nil {
					t.Fatal(err)
				}
				if len(got.Requests)+len(got.Files) == 0 && c.Targets[target].Connector != "edi834" || files == (len(got.Requests) > 0) {
					t.Fatalf("nothing is sent, or in the wrong form: %+v", got) // who has elected nothing is nobody to a carrier
				}
				b, err := json.Marshal([]any{got.Requests, got.Files})
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(string(b), "invented-") {
					t.Errorf("a credential is shown: %s", b)
				}
				if slices.Contains(got.Withheld, "birth_date") && strings.Contains(string(b), "1990-01-02") {
					t.Error("a withheld value is sent")
				}
				if target != "bamboohr" && target != "csv" && strings.Contains(string(b), "219-09-9999") {
					t.Error("the national id is sent")
				}
			})
		}
	}
}

// TestNoSecretIsRead: whatever the references stand for, and whatever the account
// keeps on this machine, shows nowhere and makes no difference.
func TestNoSecretIsRead(t *testing.T) {
	who := person(t, map[string]any{"login": "zofia@acme.example", "firstName": "Zofia", "lastName": "Ł", "employeeNumber": "17", "title": "T", "department": "D"}, "active")
	employment, _ := who["employment"].(employee.Tree)
	employment["hire_date"], employment["type"] = "2026-04-01", "full_time"
	pay, _ := who["compensation"].(employee.Tree)
	pay["currency"], pay["period"] = "USD", "year"
	c := company(t, "all")
	gusto := c.Targets["gusto"]
	gusto.Settings["token_file"] = filepath.Join(t.TempDir(), "tokens.json")
	if err := os.WriteFile(gusto.Settings["token_file"].(string), []byte(`{"access_token":"planted-access","refresh_token":"planted-refresh"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"client_id", "client_secret", "refresh_token"} {
		gusto.Secrets[name] = secret.Ref("env:" + strings.ToUpper(name))
	}
	planted := func(string) string { return " planted-\"token\"\n" }
	for _, target := range c.TargetNames() {
		for _, before := range []*explain.Before{nil, {Employee: who, Refs: connector.Refs{"id": "4711"}}} {
			want := explain.Want{Employee: maps.Clone(who), Before: before, Now: now, Getenv: planted}
			if before != nil {
				want.Employee["name"] = employee.Tree{"given": "Zofia", "family": "Nowa"}
			}
			got, err := explain.Target(t.Context(), c, target, want)
			b, _ := json.Marshal(got)
			if strings.Contains(string(b)+fmt.Sprint(err), "planted") {
				t.Errorf("%s: a secret is shown: %s, %v", target, b, err)
			}
			want.Getenv = none
			if _, without := explain.Target(t.Context(), c, target, want); fmt.Sprint(err) != fmt.Sprint(without) || before == nil && err != nil {
				t.Errorf("%s: %v with the secrets, %v without", target, err, without)
			}
		}
	}
}

func TestNotCovered(t *testing.T) {
	who := person(t, map[string]any{"login": "a@acme.example"}, "active") // acme's ATS feeds pre-hires only
	got, err := explain.Target(t.Context(), company(t, "acme"), "bamboohr", explain.Want{Employee: who, Now: now, Getenv: none})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Requests) != 0 || !slices.Contains(got.Flags, explain.FlagNotCovered) {
		t.Errorf("%+v", got)
	}
	was := person(t, map[string]any{"login": "a@acme.example"}, "pre_hire")
	got, err = explain.Target(t.Context(), company(t, "acme"), "bamboohr", explain.Want{Employee: who, Before: &explain.Before{Employee: was, Refs: connector.Refs{"id": "4132"}}, Now: now, Getenv: none})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Requests) != 0 || !slices.Contains(got.Flags, explain.FlagLeft) {
		t.Errorf("on_leave: keep: %+v", got)
	}
}

func FuzzReadHeaders(f *testing.F) {
	f.Add([]byte("A: b\n"))
	f.Add([]byte(`{"A": "b"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := explain.ReadHeaders(b); err != nil && !errors.Is(err, explain.ErrInput) {
			t.Error(err)
		}
	})
}

// A vendor that does not speak HTTP shows what it would have written, after
// what was delivered before.
func TestTargetBehindADoor(t *testing.T) {
	who := person(t, map[string]any{"login": "zofia@acme.example", "firstName": "Zofia", "lastName": "Ł", "employeeNumber": "17", "title": "T", "department": "D"}, "active")
	c := company(t, "all")
	made, err := explain.Target(t.Context(), c, "ldap", explain.Want{Employee: who, Now: now, Getenv: none})
	if err != nil || len(made.Requests) == 0 || made.Requests[0].Method != "create" || !strings.HasPrefix(made.Requests[0].URL, "ldaps://ldap.all.example/") {
		t.Fatalf("a joiner: %+v, %v", made, err)
	}
	moved := person(t, map[string]any{"login": "zofia@acme.example", "firstName": "Zofia", "lastName": "Ł", "employeeNumber": "17", "title": "Head of T", "department": "D"}, "active")
	got, err := explain.Target(t.Context(), c, "ldap", explain.Want{Employee: moved, Before: &explain.Before{Employee: who}, Now: now, Getenv: none})
	if err != nil || len(got.Requests) != 1 || got.Requests[0].Method != "update" {
		t.Fatalf("a mover: %+v, %v", got, err)
	}
	if b, _ := json.Marshal(got.Requests); !strings.Contains(string(b), "Head of T") || strings.Contains(string(b), "zofia@acme") {
		t.Errorf("more or less than the change is sent: %s", b)
	}
}
