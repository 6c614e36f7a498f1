package bamboohr

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connector/sinktest"
	"github.com/muster-hr/muster/libs/connector/sourcetest"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/secret"
)

const ours, ourField = "01J9ZQ7M2K4T6V8X0A2C4E6G8J", "customMusterId"

func TestSinkPromises(t *testing.T) {
	quoting, err := json.Marshal(map[string]string{"error": sinktest.Planted})
	if err != nil {
		t.Fatal(err)
	}
	for name, settings := range map[string]map[string]any{"with our id": {"our_id_field": ourField}, "with a gateway": {"our_id_field": ourField, "gateway": true}} {
		t.Run(name, func(t *testing.T) {
			prefix := ""
			if settings["gateway"] == true {
				prefix = "/api/gateway.php/northlight"
			}
			sinktest.Run(t, sinktest.Setup{
				Type:    Type,
				Prefix:  prefix,
				Account: connector.Account{Name: "bamboohr", Settings: settings, Secrets: map[string]secret.Value{"api_key": secret.New("k")}},
				Body: func(p sinktest.Person) map[string]any {
					return map[string]any{
						"firstName": p.Given, "lastName": p.Family, "workEmail": p.Email, "employeeNumber": p.Number,
						"jobTitle": p.Title, "hireDate": "2026-01-05",
					}
				},
				Also:  func(d connector.Delivery) []string { return []string{d.ID} },
				Gone:  func(p map[string]any) bool { return p == nil || p["terminationDate"] != nil },
				Finds: true, Partial: true,
				Throttled: fake.Response{Status: 503, Headers: map[string]string{"Retry-After": "60"}},
				Wait:      time.Minute,
				Invalid: fake.Response{
					Status: 409, Headers: map[string]string{messageHeader: "Invalid value " + sinktest.Planted}, Body: quoting,
				},
			})
		})
	}
}

// target is a sink with its faked vendor.
type target struct {
	connector.Sink
	fake.Vendor
	*sourcetest.Remote
	t *testing.T
}

func newTarget(t *testing.T, vendorSettings map[string]string) target {
	t.Helper()
	v := vendor(vendorSettings)
	r := remote(v)
	s, err := Type.Sink(account(r, map[string]any{"our_id_field": ourField}))
	if err != nil {
		t.Fatal(err)
	}
	return target{s, v, r, t}
}

func (g target) apply(d connector.Delivery) connector.Receipt {
	g.t.Helper()
	got, err := g.Apply(g.t.Context(), d, func(context.Context, connector.Refs) error { return nil })
	if err != nil {
		g.t.Fatal(err)
	}
	return got
}

func (g target) person(id string) map[string]any {
	people, _ := g.Log().State()
	return people[id]
}

func (g target) writes() []fake.Write {
	_, w := g.Log().State()
	return w
}

func hired() connector.Delivery {
	return connector.Delivery{ID: ours, Status: "active", Version: 1,
		Match: connector.Match{WorkEmail: "ola@x.example", EmployeeNumber: "0431"},
		Body:  map[string]any{"firstName": "Ola", "lastName": "Lis", "workEmail": "ola@x.example", "employeeNumber": "0431", "hireDate": "2026-01-05", "jobTitle": "Analyst"}}
}

func with(body map[string]any, more map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range body {
		out[k] = v
	}
	for k, v := range more {
		out[k] = v
	}
	return out
}

func TestCreateWritesOurIDAndDifferencesFollow(t *testing.T) {
	g := newTarget(t, nil)
	d := hired()
	d.Body["middleName"] = nil // cleared, and nobody is there yet
	r := g.apply(d)
	if r.Key != "4132" || !reflect.DeepEqual(r.Refs, connector.Refs{"id": "4132", "our_id": ours}) {
		t.Fatalf("receipt %+v", r)
	}
	if want := []string{"employeeNumber", "firstName", "hireDate", "jobTitle", "lastName", "workEmail"}; !slices.Equal(r.Sent, want) {
		t.Errorf("sent %v, want %v", r.Sent, want)
	}
	if got := g.person("4132"); got[ourField] != ours || got["employeeNumber"] != "0431" {
		t.Errorf("person %v", got)
	}
	next := d
	next.Before, next.Refs = d.Body, r.Refs
	next.Body = with(d.Body, map[string]any{"jobTitle": nil, "department": "Risk"})
	r = g.apply(next)
	if want := []string{"department", "jobTitle"}; !slices.Equal(r.Sent, want) {
		t.Errorf("sent %v, want %v", r.Sent, want)
	}
	if got := g.writes()[1].Body; !reflect.DeepEqual(got, map[string]any{"department": "Risk", "jobTitle": ""}) {
		t.Errorf("the update carried %v", got)
	}
	next.Before, next.Refs = next.Body, r.Refs
	calls := g.Calls
	if r = g.apply(next); r.Outcome != "unchanged" || g.Calls != calls {
		t.Errorf("outcome %q with %d calls, want unchanged with none", r.Outcome, g.Calls-calls)
	}
}

func TestNamesAreRequired(t *testing.T) {
	g := newTarget(t, nil)
	d := hired()
	d.Body["lastName"] = ""
	_, err := g.Apply(t.Context(), d, nil)
	if f := fault.Of(err); f == nil || f.Class != fault.Record || f.Path != "lastName" || g.Calls != 0 {
		t.Errorf("%v after %d calls", err, g.Calls)
	}
}

func TestEndOfEmployment(t *testing.T) {
	for name, c := range map[string]struct {
		status string
		body   map[string]any
		date   string
	}{
		"on a day ahead":            {"active", map[string]any{"terminationDate": "2026-06-30"}, "2026-06-30"},
		"on a day that was":         {"terminated", map[string]any{"terminationDate": "2026-02-28", "terminationReasonId": "7"}, "2026-02-28"},
		"without a day it is today": {"terminated", nil, "2026-03-02"},
		"withdrawn before it began": {"withdrawn", map[string]any{"hireDate": "2026-04-01"}, "2026-04-01"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newTarget(t, nil)
			d := hired()
			r := g.apply(d)
			end := d
			end.Before, end.Refs, end.Status, end.Body = d.Body, r.Refs, c.status, with(d.Body, c.body)
			first := g.apply(end)
			if got := g.person("4132")["terminationDate"]; got != c.date || first.Refs["ended"] != c.date {
				t.Errorf("ends on %v, remembered %q, want %s", got, first.Refs["ended"], c.date)
			}
			before := len(g.writes())
			end.Refs = r.Refs // the outcome was lost: older refs, the same again
			g.apply(end)
			end.Refs, end.Before = first.Refs, end.Body
			g.apply(end)
			if got := len(g.writes()); got != before {
				t.Errorf("%d writes more", got-before)
			}
		})
	}
}

// TestARefusedFieldDoesNotHoldTheEndUp: the employment ends, and the field is a
// dead letter of its own.
func TestARefusedFieldDoesNotHoldTheEndUp(t *testing.T) {
	g := newTarget(t, nil)
	other := hired()
	other.ID, other.Body, other.Match = "01J9", with(other.Body, map[string]any{"workEmail": "jan@x.example", "employeeNumber": "0432"}), connector.Match{}
	g.apply(other)
	d := hired()
	r := g.apply(d)
	d.Before, d.Refs, d.Status = d.Body, r.Refs, "terminated"
	d.Body = with(d.Body, map[string]any{"workEmail": "jan@x.example", "terminationDate": "2026-02-28"})
	_, err := g.Apply(t.Context(), d, nil)
	if f := fault.Of(err); f == nil || f.Class != fault.Record {
		t.Errorf("error %v", err)
	}
	if got := g.person(r.Key)["terminationDate"]; got != "2026-02-28" {
		t.Errorf("ends on %v", got)
	}
}

func TestEndWithoutADayIsThatOfTheChange(t *testing.T) {
	g := newTarget(t, nil)
	d := hired()
	d.Refs = g.apply(d).Refs
	d.Status, d.Effective = "terminated", "2026-02-27"
	if got := g.apply(d).Refs["ended"]; got != "2026-02-27" {
		t.Errorf("ends on %s", got)
	}
}

func TestEndKnownAtTheStart(t *testing.T) {
	g := newTarget(t, nil)
	d := hired()
	d.Body["terminationDate"] = "2026-06-30"
	var saved connector.Refs
	r, err := g.Apply(t.Context(), d, func(_ context.Context, refs connector.Refs) error { saved = refs; return nil })
	if err != nil || saved["id"] != "4132" || r.Refs["ended"] != "2026-06-30" || !slices.Contains(r.Sent, "terminationDate") {
		t.Errorf("receipt %+v, saved %v, %v", r, saved, err)
	}
	if g.person("4132")["terminationDate"] != "2026-06-30" {
		t.Errorf("person %v", g.person("4132"))
	}
}

func TestEndMovedAndTakenBack(t *testing.T) {
	g := newTarget(t, nil)
	d := hired()
	d.Refs = g.apply(d).Refs
	step := func(status string, more map[string]any) {
		t.Helper()
		d.Before = d.Body
		d.Status, d.Body = status, with(hired().Body, more)
		d.Refs = g.apply(d).Refs
	}
	rows := func() (n int) {
		a, err := Type.Reader(account(g.Remote, nil))
		if err != nil {
			t.Fatal(err)
		}
		rec, err := a.Read(t.Context(), "4132")
		if err != nil {
			t.Fatal(err)
		}
		return len(decode(t, rec.Body)["tables"].(map[string]any)["employmentStatus"].([]any))
	}
	step("active", map[string]any{"terminationDate": "2026-06-30"})
	step("active", map[string]any{"terminationDate": "2026-07-31"})
	if got := g.person("4132")["terminationDate"]; got != "2026-07-31" || rows() != 2 {
		t.Errorf("ends on %v with %d rows, want one row moved", got, rows())
	}
	step("active", nil)
	if got := g.person("4132")["terminationDate"]; got != nil || rows() != 2 || d.Refs["ended"] != "" {
		t.Errorf("ends on %v with %d rows, refs %v: the end was taken back", got, rows(), d.Refs)
	}
	step("terminated", map[string]any{"terminationDate": "2026-02-01"})
	step("active", map[string]any{"hireDate": "2026-03-02", "employmentHistoryStatus": "Part-Time"})
	p := g.person("4132")
	if p["terminationDate"] != nil || p["employmentHistoryStatus"] != "Part-Time" || p["hireDate"] != "2026-03-02" {
		t.Errorf("after the rehire %v", p)
	}
}

func TestFind(t *testing.T) {
	for name, c := range map[string]struct {
		people []map[string]any // fields of those who are there
		hidden string
		since  time.Time
		found  []string
		sure   bool
	}{
		"nobody":                          {},
		"our id":                          {people: []map[string]any{{ourField: ours, "workEmail": "else@x.example"}}, found: []string{"4132"}, sure: true},
		"our id beats the e-mail":         {people: []map[string]any{{"workEmail": "ola@x.example"}, {ourField: ours, "workEmail": "o2@x.example"}}, found: []string{"4133"}, sure: true},
		"e-mail, whatever the case":       {people: []map[string]any{{"workEmail": "OLA@x.example"}}, found: []string{"4132"}, sure: true},
		"number":                          {people: []map[string]any{{"employeeNumber": "0431"}}, found: []string{"4132"}, sure: true},
		"number without its zero":         {people: []map[string]any{{"employeeNumber": "431"}}},
		"two are for a person":            {people: []map[string]any{{"employeeNumber": "0431"}, {"workEmail": "ola@x.example"}}, found: []string{"4132", "4133"}},
		"somebody else of ours":           {people: []map[string]any{{ourField: "01OTHER", "employeeNumber": "0431"}}},
		"same name only":                  {people: []map[string]any{{"workEmail": "another@x.example"}}},
		"of another name, created since":  {people: []map[string]any{{"lastName": "Nowak", ourField: ours}}, since: now, found: []string{"4132"}, sure: true},
		"of another name, created before": {people: []map[string]any{{"lastName": "Nowak", ourField: ours}}},
		"our id may not be seen":          {people: []map[string]any{{ourField: ours, "workEmail": "ola@x.example"}}, hidden: ourField, found: []string{"4132"}, sure: true},
	} {
		t.Run(name, func(t *testing.T) {
			g := newTarget(t, map[string]string{"hidden_fields": c.hidden})
			for _, fields := range c.people {
				do(t, g.Vendor, "hire", map[string]any{"given": "Ola", "family": "Lis", "fields": fields})
			}
			d := hired()
			d.Since = c.since
			found, err := g.Find(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, f := range found {
				ids = append(ids, f.Refs["id"])
				if f.Sure != c.sure {
					t.Errorf("sure %v, want %v", f.Sure, c.sure)
				}
			}
			if !slices.Equal(ids, c.found) {
				t.Errorf("found %v, want %v", ids, c.found)
			}
		})
	}
}

func TestFindPagesToTheEnd(t *testing.T) {
	g := newTarget(t, nil)
	for range 2*pageSize + 5 {
		do(t, g.Vendor, "hire", map[string]any{"given": "Other", "family": "Lis"})
	}
	last := do(t, g.Vendor, "hire", map[string]any{"given": "Ola", "family": "Lis", "fields": map[string]any{ourField: ours}})
	g.Calls = 0
	found, err := g.Find(t.Context(), hired())
	if err != nil || len(found) != 1 || found[0].Refs["id"] != last {
		t.Errorf("found %+v, %v", found, err)
	}
	if g.Calls != 4 { // three pages, one candidate
		t.Errorf("%d calls", g.Calls)
	}
}

// TestImportIsCheap: looking for a person before each create of an import costs
// about one call each, however many have the same name, and still finds who was
// there and who was created just now.
func TestImportIsCheap(t *testing.T) {
	const people = 3 * pageSize
	for name, family := range map[string]func(int) string{
		"different names": func(i int) string { return "Lis" + string(rune('a'+i%26)) + strconv.Itoa(i) },
		"one name":        func(int) string { return "Lis" },
	} {
		t.Run(name, func(t *testing.T) {
			g := newTarget(t, nil)
			there := do(t, g.Vendor, "hire", map[string]any{"given": "Ola", "family": family(0), "work_email": "there@x.example"})
			person := func(i int) connector.Delivery {
				d := hired()
				d.ID = "01J9ZQ7M2K4T6V8X0A2C4E" + strconv.Itoa(1000+i)
				mail := "p" + strconv.Itoa(i) + "@x.example"
				d.Match = connector.Match{WorkEmail: mail}
				d.Body["lastName"], d.Body["workEmail"] = family(i), mail
				delete(d.Body, "employeeNumber")
				return d
			}
			g.Calls = 0
			for i := range people {
				d := person(i)
				if found, err := g.Find(t.Context(), d); err != nil || len(found) != 0 {
					t.Fatalf("person %d: found %v, %v", i, found, err)
				}
				if _, err := g.Apply(t.Context(), d, nil); err != nil {
					t.Fatal(err)
				}
			}
			// A list and a create each. Of one name there are namesakes to look at
			// until the list has several pages and is remembered.
			limit := 2*people + 1
			if name == "one name" {
				limit = 2*people + pageSize*namesakes
			}
			if g.Calls > limit {
				t.Errorf("%d calls for %d people, want at most %d", g.Calls, people, limit)
			}
			for i, want := range map[int]string{people - 1: strconv.Itoa(4132 + people), people / 2: strconv.Itoa(4132 + people/2 + 1)} {
				d := person(i)
				d.ID = "01OTHERMEMORY" // ours was lost: the e-mail must do, and the id that is there is another's
				if found, err := g.Find(t.Context(), d); err != nil || len(found) != 0 {
					t.Errorf("person %d of another id of ours: %v, %v", i, found, err)
				}
				if found, err := g.Find(t.Context(), person(i)); err != nil || len(found) != 1 || found[0].Refs["id"] != want {
					t.Errorf("person %d: found %v, %v; want %s", i, found, err, want)
				}
			}
			d := person(0)
			d.ID, d.Match.WorkEmail = "01NEW", "there@x.example"
			if found, err := g.Find(t.Context(), d); err != nil || len(found) != 1 || found[0].Refs["id"] != there || !found[0].Sure {
				t.Errorf("who was there before: %v, %v; want %s", found, err, there)
			}
		})
	}
}

func TestTakenEmail(t *testing.T) {
	g := newTarget(t, nil)
	do(t, g.Vendor, "hire", map[string]any{"given": "Olaf", "family": "Liske", "work_email": "ola@x.example"})
	_, err := g.Apply(t.Context(), hired(), nil)
	if f := fault.Of(err); f == nil || f.Class != fault.Record || f.Reason != "exists" {
		t.Errorf("the e-mail is somebody else's: %v", err)
	}
	d := hired()
	d.Body["hireDate"], d.Body["workEmail"] = "soon", "new@x.example"
	_, err = g.Apply(t.Context(), d, nil)
	if f := fault.Of(err); f == nil || f.Class != fault.Record || f.Reason != "conflict" {
		t.Errorf("a value that is not valid: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		vendor map[string]string
		answer func(*http.Request) *http.Response
		refs   connector.Refs
		class  fault.Class
		reason string
	}{
		"may not create":    {vendor: map[string]string{"read_only": "true"}, class: fault.Target, reason: "permission"},
		"no Location":       {answer: sourcetest.Says(201, ""), class: fault.Transient, reason: "location"},
		"no such company":   {answer: sourcetest.Says(404, ""), class: fault.Target, reason: "account"},
		"nor for the known": {answer: sourcetest.Says(404, ""), refs: connector.Refs{"id": "77"}, class: fault.Target, reason: "account"},
		"gone, or not": {answer: func(r *http.Request) *http.Response {
			if strings.HasSuffix(r.URL.Path, "/changed") {
				return sourcetest.Says(500, "")(r)
			}
			return nil
		}, refs: connector.Refs{"id": "77"}, class: fault.Transient, reason: "status_500"},
		"gone":              {refs: connector.Refs{"id": "77"}, class: fault.Record, reason: "not_found"},
		"may not see":       {vendor: map[string]string{"forbidden_employees": "77"}, refs: connector.Refs{"id": "77"}, class: fault.Record, reason: "forbidden"},
		"a reference lost":  {refs: connector.Refs{"id": "x/../1"}, class: fault.Record, reason: "refs"},
		"limited":           {vendor: map[string]string{"rate_per_minute": "0"}, class: fault.Throttled, reason: "rate_limited"},
		"limited, formerly": {vendor: map[string]string{"rate_per_minute": "0", "limit_status": "503"}, class: fault.Throttled, reason: "unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newTarget(t, c.vendor)
			g.Answer = c.answer
			d := hired()
			d.Refs = c.refs
			_, err := g.Apply(t.Context(), d, nil)
			f := fault.Of(err)
			if f == nil || f.Class != c.class || f.Reason != c.reason {
				t.Fatalf("%v, want %s %s", err, c.class, c.reason)
			}
			if c.class == fault.Throttled && f.After != time.Minute {
				t.Errorf("waits %s", f.After)
			}
		})
	}
}
