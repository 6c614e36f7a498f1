package mapping_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/mapping"
)

// anyJSON draws JSON that often has the names the shipped mappings look for.
func anyJSON(names []string) *rapid.Generator[any] {
	scalar := rapid.OneOf(
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.Int64().AsAny(), rapid.Float64Range(-1e20, 1e20).AsAny(), rapid.String().AsAny(),
		rapid.SampledFrom([]any{"", " USD", "0000-00-00", "2026-07-01", "72000.00 EUR", "Poland", "+48 600 555 103", "Full-Time", "active", "é\u0301"}),
	)
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		if depth == 0 {
			return scalar
		}
		return rapid.OneOf(scalar,
			rapid.SliceOfN(value(depth-1), 0, 3).AsAny(),
			rapid.MapOfN(rapid.SampledFrom(names), value(depth-1), 0, 12).AsAny(),
			rapid.MapOfN(rapid.SampledFrom(names), value(depth-1), 0, 12).AsAny())
	}
	return rapid.MapOfN(rapid.SampledFrom(names), value(4), 0, 20).AsAny()
}

var namesOf = map[string][]string{
	"greenhouse": {"payload", "application", "candidate", "offer", "jobs", "phone_numbers", "type", "value", "first_name", "starts_at", "custom_fields", "salary", "amount", "unit", "id", "offices", "name", "location"},
	"bamboohr":   {"id", "firstName", "hireDate", "status", "payRate", "jobInfo", "date", "jobTitle", "country", "workPhone", "employeeNumber", "supervisorEId", "gender", "nin", "address1"},
	"plain":      {"name", "given", "positions", "primary", "title", "phones", "kind", "number", "compensation", "amount", "custom", "x", "manager", "employment", "hire_date", "benefit_elections", "plan", "dependants", "id", "lines", "addresses"},
}

// plain takes canonical JSON as it is, whole objects and lists included.
const plain = `
custom: {x: basic}
fields:
  name: name
  phones: phones
  addresses: addresses
  employment: employment
  positions: positions
  compensation: compensation
  benefit_elections: benefit_elections
  dependants: dependants
  custom.x: custom.x
`

func mappings(t testing.TB) map[string]*mapping.Mapping {
	return map[string]*mapping.Mapping{
		"greenhouse": load(t, "greenhouse.yaml", mapping.Options{Source: "greenhouse"}),
		"bamboohr":   load(t, "bamboohr.yaml", mapping.Options{Source: "bamboohr"}),
		"plain":      parse(t, plain, mapping.Options{Source: "plain"}),
	}
}

// TestObservationsAreCanonical: whatever a vendor sends gives a record fault or
// an observation in which every value is of its field's kind and comes from the
// patterns the mapping says it writes.
func TestObservationsAreCanonical(t *testing.T) {
	for name, m := range mappings(t) {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				body, err := json.Marshal(anyJSON(namesOf[name]).Draw(t, "record"))
				if err != nil {
					t.Skip()
				}
				checkObservation(t, m, connector.Record{
					Key: "1", Body: body, Partial: rapid.Bool().Draw(t, "partial"),
					Event: rapid.SampledFrom([]string{"", "hire_candidate", "x"}).Draw(t, "event"),
				})
			})
		})
	}
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func checkObservation(t failer, m *mapping.Mapping, rec connector.Record) {
	t.Helper()
	o, err := m.Observe(rec, noon)
	if err != nil {
		var f *fault.Error
		if !errors.As(err, &f) || f.Class != fault.Record || f.Reason != "mapping" || f.Rule == "" {
			t.Fatalf("not a record fault with a rule: %v", err)
		}
		return
	}
	raw, err := json.Marshal(o.Fields)
	if err != nil {
		t.Fatalf("the observation is no JSON: %v", err)
	}
	var person employee.Person
	if err := json.Unmarshal(raw, &person); err != nil {
		t.Fatalf("the observation is no person: %v\n%s", err, raw)
	}
	checkTree(t, "", o.Fields, m.Writes())
}

// checkTree is an independent reading of canonical.md over a whole tree.
func checkTree(t failer, pattern string, v any, writes []string) {
	t.Helper()
	switch x := v.(type) {
	case map[string]any:
		for k, inner := range x {
			p := k
			if pattern != "" {
				p = pattern + "." + k
			}
			f, ok := employee.Lookup(p)
			if !ok {
				if f, ok = employee.Lookup(p + "[]"); !ok {
					if strings.Contains(p, ".manager.") {
						continue
					}
					t.Fatalf("%s is not canonical", p)
				}
			}
			checkKind(t, f, inner)
			if f.Kind != employee.Any {
				checkTree(t, f.Pattern, inner, writes)
			}
		}
	case []any:
		for _, e := range x {
			if _, object := e.(map[string]any); object {
				checkTree(t, pattern, e, writes)
			}
		}
	default:
		for _, w := range writes {
			if employee.Covers(w, pattern) || employee.Covers(pattern, w) || strings.HasSuffix(pattern, "[].kind") ||
				strings.HasSuffix(pattern, "[].primary") || strings.HasSuffix(pattern, "[].country") || pattern == "external" {
				return
			}
		}
		t.Fatalf("%s is written but not among Writes %v", pattern, writes)
	}
}

func checkKind(t failer, f employee.Field, v any) {
	t.Helper()
	if v == nil {
		return
	}
	s, isText := v.(string)
	ok := true
	switch f.Kind {
	case employee.Text:
		ok = isText && s != "" && s == strings.TrimSpace(s)
	case employee.Day:
		ok = isText && len(s) == 10 && s > "0001" && s[4] == '-'
	case employee.Enum:
		ok = isText && strings.Contains(","+strings.Join(f.Enum, ",")+",", ","+s+",")
	case employee.Country:
		ok = isText && len(s) == 2
	case employee.Currency:
		ok = isText && len(s) == 3
	case employee.Decimal:
		ok = isText && strings.Trim(s, "-.0123456789") == "" && s != ""
	case employee.Bool:
		_, ok = v.(bool)
	case employee.List:
		_, ok = v.([]any)
	case employee.Object:
		_, ok = v.(map[string]any)
	}
	if !ok {
		t.Fatalf("%s holds %T %v, which is no %s", f.Pattern, v, v, f.Kind)
	}
}

// TestBodiesNeverFail: whatever of an employee is allowed, Okta's mapping makes
// a body of it or a record fault; nothing but its own keys comes out.
func TestBodiesNeverFail(t *testing.T) {
	m := load(t, "okta.yaml", mapping.Options{Direction: mapping.ToVendor, Source: "okta"})
	rapid.Check(t, func(t *rapid.T) {
		e, _ := anyJSON(namesOf["plain"]).Draw(t, "employee").(map[string]any)
		body, _, err := m.Body(e, mapping.Input{ID: "1"}, noon)
		if err != nil && fault.Of(err).Class != fault.Record {
			t.Fatalf("%v", err)
		}
		for k := range body {
			if k != "profile" {
				t.Fatalf("%s is not in the mapping", k)
			}
		}
	})
}

func FuzzObserve(f *testing.F) {
	ms := mappings(f)
	for _, p := range []string{"greenhouse/hire.txtar", "greenhouse/unhire.txtar", "bamboohr/employee.txtar", "bamboohr/tables.txtar"} {
		data, err := os.ReadFile("testdata/" + p)
		if err != nil {
			f.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(data), "-- record.json --\n")
		body, _, _ := strings.Cut(rest, "-- want.json --")
		f.Add([]byte(body), "hire_candidate")
	}
	f.Add([]byte(`{"a": 1e99999}`), "")
	f.Add([]byte(`{"payRate": 1e400, "hireDate": {"a": []}}`), "")
	f.Fuzz(func(t *testing.T, body []byte, event string) {
		for _, m := range ms {
			checkObservation(t, m, connector.Record{Key: "1", Event: event, Body: body})
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, p := range []string{"greenhouse.yaml", "bamboohr.yaml", "okta.yaml", "problems/source.txtar", "problems/target.txtar", "problems/anchor.txtar"} {
		data, err := os.ReadFile("testdata/" + p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, p == "okta.yaml")
	}
	f.Add([]byte("fields: {a: {map: []}}"), true)
	f.Add([]byte("fields: {username: {date: {}, from: [], each: {}, list: {}}}"), false)
	f.Fuzz(func(t *testing.T, src []byte, out bool) {
		o := mapping.Options{Source: "s"}
		if out {
			o.Direction = mapping.ToVendor
		}
		m, problems := mapping.Parse("m.yaml", src, o)
		if (m == nil) != (len(problems) > 0) {
			t.Fatalf("mapping %v with %d problems", m != nil, len(problems))
		}
		for _, p := range problems {
			if p.Line < 1 || p.Column < 1 || p.Code == "" || p.Message == "" {
				t.Fatalf("a problem without a place: %+v", p)
			}
		}
		if m == nil {
			return
		}
		if out {
			_, _, _ = m.Body(employee.Tree{"name": employee.Tree{"given": "x"}}, mapping.Input{}, noon)
			return
		}
		checkObservation(t, m, connector.Record{Body: json.RawMessage(`{"a": [{"b": 1}], "c": "x"}`)})
	})
}
