package employee

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestFlattenAndBack(t *testing.T) {
	for _, c := range []struct{ name, tree, flat string }{
		{"plain fields", `{"name":{"given":"A","middle":null},"work_email":"a@b"}`, `{"name.given":"A","name.middle":null,"work_email":"a@b"}`},
		{"primary position", `{"positions":[{"primary":true,"title":"T","start":"2026-01-01"}]}`, `{"positions[primary].start":"2026-01-01","positions[primary].title":"T"}`},
		{"two positions", `{"positions":[{"primary":true,"title":"T"},{"id":"p2","title":"U"}]}`, `{"positions[primary].title":"T","positions[p2].title":"U"}`},
		{"phones by kind", `{"phones":[{"kind":"mobile","number":"1"},{"kind":"work","number":"2"}]}`, `{"phones[mobile]":{"kind":"mobile","number":"1"},"phones[work]":{"kind":"work","number":"2"}}`},
		{"national ids", `{"national_ids":[{"country":"US","kind":"ssn","value":"1"}]}`, `{"national_ids[US/ssn]":{"country":"US","kind":"ssn","value":"1"}}`},
		{"said and empty", `{"phones":[],"positions":[],"external":{"greenhouse":["1","application:2"]}}`, `{"phones":[],"positions":[],"external.greenhouse":["1","application:2"]}`},
		{"pay", `{"compensation":{"amount":"1.00","currency":"USD"}}`, `{"compensation.amount":"1.00","compensation.currency":"USD"}`},
		{"a list of one source", `{"deductions":[{"code":"a"},{"code":"b"}]}`, `{"deductions":[{"code":"a"},{"code":"b"}]}`},
		{"leave", `{"employment":{"leave":{"kind":"parental","start":"2026-01-01"}}}`, `{"employment.leave.kind":"parental","employment.leave.start":"2026-01-01"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree, want := decoded(t, c.tree), Flat(decoded(t, c.flat))
			got := Flatten(tree)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("Flatten (-want +got):\n%s", d)
			}
			if d := cmp.Diff(tree, got.Tree()); d != "" {
				t.Errorf("Tree (-want +got):\n%s", d)
			}
		})
	}
}

func decoded(t *testing.T, s string) Tree {
	t.Helper()
	var v Tree
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestASinglePositionIsThePrimaryOne(t *testing.T) {
	got := Flatten(Tree{"positions": []any{Tree{"title": "T"}}})
	if d := cmp.Diff(Flat{"positions[primary].title": "T"}, got); d != "" {
		t.Error(d)
	}
}

// The written contract and the code must name the same fields with the same classes.
func TestFieldsAreThoseOfTheContract(t *testing.T) {
	for pattern, class := range map[string]Class{
		"employee_number": Basic, "name.preferred": Basic, "personal_email": Contact, "birth_date": Demographic, "gender": Demographic,
		"employment.status": Basic, "employment.termination_reason": Demographic, "employment.leave": Demographic, "employment.leave.kind": Demographic,
		"positions[].manager": Basic, "positions[].cost_centers[].share": Basic, "compensation.amount": Pay, "bank_accounts[].iban": Pay,
		"tax_withholdings[].fields.exempt": Pay, "benefit_elections[].plan": Benefit, "dependants[].birth_date": Benefit, "training[].course": Basic,
		"phones[work]": Basic, "phones[mobile]": Contact, "addresses[home]": Contact, "addresses[work]": Basic, "national_ids[US/ssn]": Identifier,
		"national_ids[].value": Identifier, "external.bamboohr": Basic, "positions[primary].title": Basic, "phones[home].number": Contact, "no_such_field": Contact,
	} {
		if got := ClassOf(pattern, nil); got != class {
			t.Errorf("ClassOf(%s) = %s, want %s", pattern, got, class)
		}
	}
	if got := ClassOf("custom.badge", CustomClasses{"badge": Basic}); got != Basic {
		t.Errorf("a declared custom field is %s", got)
	}
	if got := ClassOf("custom.unknown", nil); got == Basic {
		t.Error("an undeclared custom field counts as harmless")
	}
}

func TestEveryEnumWordIsInTheTypes(t *testing.T) {
	source, err := os.ReadFile("person.go")
	if err != nil {
		t.Fatal(err)
	}
	tags := regexp.MustCompile(`enum:"([^"]+)"`).FindAllSubmatch(source, -1)
	n := 0
	for _, f := range Fields() {
		if len(f.Enum) > 0 {
			n++
			if f.Kind != Enum || slices.Contains(f.Enum, "") {
				t.Errorf("%s has words %v but kind %s", f.Pattern, f.Enum, f.Kind)
			}
		}
	}
	if n < len(tags) {
		t.Errorf("%d enum fields known, %d tags written", n, len(tags))
	}
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		entry, leaf string
		want        bool
	}{
		{"name", "name.given", true}, {"name.given", "name.given", true}, {"name", "names", false}, {"positions[]", "positions[primary].title", true},
		{"positions", "positions[p2].title", true}, {"positions[].title", "positions[primary].title", true}, {"positions[].title", "positions[primary].titles", false},
		{"positions[primary].title", "positions[p2].title", false}, {"phones[work]", "phones[work]", true}, {"phones[work]", "phones[mobile]", false},
		{"compensation", "compensation.amount", true}, {"compensation.amount", "compensation.currency", false}, {"national_ids[]", "national_ids[US/ssn]", true},
		{"deductions[]", "deductions", true}, {"deductions", "deductions", true}, {"positions[]", "positions", true}, {"deductions[]", "dependants", false},
	} {
		if got := Covers(c.entry, c.leaf); got != c.want {
			t.Errorf("Covers(%s, %s) = %v", c.entry, c.leaf, got)
		}
	}
}

func TestHappened(t *testing.T) {
	all := []string{"", PreHire, Active, OnLeave, Terminated, Withdrawn}
	want := map[string]string{
		">pre_hire": "preboarded", "withdrawn>pre_hire": "preboarded", ">active": "hired", ">leave": "hired", "pre_hire>active": "hired",
		"pre_hire>leave": "hired", "withdrawn>active": "hired", "withdrawn>leave": "hired", "terminated>pre_hire": "rehired", "terminated>active": "rehired",
		"terminated>leave": "rehired", "active>leave": "leave_started", "leave>active": "leave_ended", ">terminated": "terminated", "pre_hire>terminated": "terminated",
		"active>terminated": "terminated", "leave>terminated": "terminated", "withdrawn>terminated": "terminated", "pre_hire>withdrawn": "withdrawn",
	}
	for _, before := range all {
		for _, after := range all {
			expected := want[before+">"+after]
			if expected == "" {
				expected = "updated"
			}
			if got := Happened(before, after); got != expected {
				t.Errorf("Happened(%q, %q) = %s, want %s", before, after, got, expected)
			}
		}
	}
}

func TestSplitNeverPutsRestrictedIntoBasic(t *testing.T) {
	var patterns []string
	for _, f := range Fields() {
		if f.Leaf {
			patterns = append(patterns, strings.ReplaceAll(f.Pattern, "[]", "[primary]"))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		f := Flat{}
		for _, p := range rapid.SliceOf(rapid.SampledFrom(patterns)).Draw(t, "leaves") {
			f[p] = "v"
		}
		basic, restricted := Split(f, nil)
		if len(basic)+len(restricted) != len(f) {
			t.Fatalf("%d + %d leaves of %d", len(basic), len(restricted), len(f))
		}
		for leaf := range basic {
			if ClassOf(leaf, nil).Restricted() {
				t.Fatalf("%s is in the basic part", leaf)
			}
		}
		allow := rapid.SliceOf(rapid.SampledFrom(patterns)).Draw(t, "allow")
		for leaf := range NewAllowList(allow).Minimise(f) {
			if !slices.ContainsFunc(allow, func(a string) bool { return Covers(a, leaf) }) {
				t.Fatalf("%s passed the allow-list", leaf)
			}
		}
	})
}

func TestStateComesBack(t *testing.T) {
	want := &State{
		Head: Head{ID: "e1", Version: 3, Status: Active, Changed: []string{"name.given"}, Contains: map[string]uint64{"a.b": 7}}, Said: PreHire,
		Fields:     Flat{"name.given": "Zofia", "compensation.amount": "1.00", "custom.count": json.Number("4")},
		Provenance: map[string]Origin{"name.given": {Source: "bamboohr"}, "compensation.amount": {Source: "greenhouse"}, "custom.count": {Source: "bamboohr"}},
		Pending: []Pending{{Effective: "2027-01-01", Source: "bamboohr", Fields: Flat{"positions[primary].title": "T"}},
			{Effective: "2027-01-01", Source: "bamboohr", Fields: Flat{"compensation.amount": "2.00"}}},
	}
	want.Fields["phones[mobile]"] = Tree{"kind": "mobile", "number": "+48 \"1\" \u017b"}
	want.Fields["name.middle"] = nil
	want.Fields["employment.rehire_eligible"] = true
	head, basic, restricted, err := want.Encode(CustomClasses{"count": Basic})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(head)+string(basic), "1.00") || strings.Contains(string(head), "Zofia") {
		t.Error("a value stands in a part where it does not belong")
	}
	h, err := ReadHead(head)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeState(h, basic, restricted)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
