package mapping_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/testkit/golden"
)

// TestProblems runs the files of testdata/problems: a mapping and every problem
// in it, with line, column, code, message and fix.
func TestProblems(t *testing.T) {
	golden.Each(t, "testdata/problems/*.txtar", func(t *testing.T, c golden.Case) {
		o := mapping.Options{Source: "src", Custom: employee.CustomClasses{"known": employee.Basic}}
		name := "from.yaml"
		if c.Has("to.yaml") {
			name, o.Direction = "to.yaml", mapping.ToVendor
		}
		if c.Has("base.yaml") {
			o.Base = parse(t, string(c.File("base.yaml")), o)
		}
		m, problems := mapping.Parse(name, c.File(name), o)
		if m != nil || len(problems) == 0 {
			t.Fatal("the file is taken")
		}
		var b strings.Builder
		for _, p := range problems {
			b.WriteString(p.String() + "\n")
		}
		c.Want(t, "want.txt", b.String())
	})
}

func TestOverride(t *testing.T) {
	base := parse(t, "custom: {x: basic}\neffective: d\nfields: {name.given: first, name.family: last, 'phones[work].number': w, 'phones[home].number': h, custom.x: x}", mapping.Options{Source: "s"})
	m := parse(t, "fields:\n  name.given: vorname\n  name.family: none\n  phones: {each: p, fields: {kind: k, number: n}}\n", mapping.Options{Source: "s", Base: base})
	if d := cmp.Diff([]string{"custom.x", "name.given", "phones[]"}, m.Writes()); d != "" {
		t.Errorf("writes (-want +got)\n%s", d)
	}
	if m.Custom()["x"] != employee.Basic {
		t.Error("the classes of the shipped mapping are lost")
	}
	if got := parse(t, "extend: none\nfields: {username: u}", mapping.Options{Base: base}).Writes(); !slices.Equal(got, []string{"username"}) {
		t.Errorf("extend none writes %v", got)
	}
}

func TestReads(t *testing.T) {
	m := parse(t, `fields:
  a: name.given
  b: phones[work].number
  c: {from: 'addresses[home].lines[0]', when: 'employment.status == "active"'}
  d: {cel: 'employee.positions.filter(p, p.primary && p.grade != "")[0].title'}
  e: {cel: 'positions.exists(p, p.department == "x") ? primary(positions).location : custom["known"]'}
  f: {each: dependants, where: 'item.relationship == "child"', fields: {g: name.given}}
  h: {cel: 'size(phones.filter(x, x.kind == "work"))'}
  i: {cel: 'training.map(t, t.title)'}
  j: $status
  k: {template: "{work_email}"}
  l: external.okta[0]
  m: {ref: 'positions[primary].manager'}
`, mapping.Options{Direction: mapping.ToVendor, Custom: employee.CustomClasses{"known": employee.Basic}})
	want := []string{
		"addresses[home].lines", "custom.known", "dependants[].name.given", "dependants[].relationship", "employment.status",
		"external.okta", "name.given", "phones[].kind", "phones[work].number", "positions[].department", "positions[].grade", "positions[].primary",
		"positions[].title", "positions[primary].location", "positions[primary].manager", "training[].title", "work_email",
	}
	got := slices.DeleteFunc(m.Reads(), func(s string) bool { return s == "dependants[]" || s == "phones[]" })
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestCondition(t *testing.T) {
	person := employee.Tree{
		"employment": employee.Tree{"status": "active", "type": nil}, "custom": employee.Tree{"badge": "x"},
		"positions": []any{employee.Tree{"primary": true, "department": "R&D"}},
	}
	for src, want := range map[string]bool{
		`employment.status == "active"`:                                         true,
		`employee.employment.status in ["active", "leave"]`:                     true,
		`employment.type == "contractor"`:                                       false,
		`employment.type != "contractor"`:                                       false, // not said: neither holds
		`!has(employment.type) || employment.type != "contractor"`:              true,
		`positions.exists(p, p.primary && p.department.startsWith("R"))`:        true,
		`positions.exists(p, p.location == "x")`:                                false,
		`name.given == "x"`:                                                     false,
		`custom.badge == "x"`:                                                   true,
		`said(work_email)`:                                                      false,
		`today == "2026-07-01"`:                                                 true,
		`primary(positions).department == "R&D" && compensation.amount > "100"`: false,
	} {
		c, err := mapping.ParseCondition(src, employee.CustomClasses{"badge": employee.Basic})
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if got, err := c.Holds(person, noon); got != want || err != nil {
			t.Errorf("%s gives %v, %v", src, got, err)
		}
	}
	for src, want := range map[string]string{
		`employment.sttus == "active"`:   `1:11: undefined field 'sttus'; write status`,
		`emploment.status == "active"`:   `1:1: undeclared reference to 'emploment'; write employment`,
		`employment.status == "actve"`:   `1:22: employment.status is never actve; write active`,
		`name.given`:                     `1:1: a condition is true or false, and this gives string; write a comparison`,
		`custom.unknown == "x"`:          `1:1: custom field unknown has no class; declare it in muster.yaml`,
		`employee == employee`:           `1:1: the expression takes the whole employee; name the fields it needs, e.g. employee.name.given`,
		`positions.all(p, p.tite == "")`: `1:19: undefined field 'tite'; write title`,
	} {
		if _, err := mapping.ParseCondition(src, employee.CustomClasses{}); err == nil || err.Error() != want {
			t.Errorf("%s gives\n%v\nwant\n%s", src, err, want)
		}
	}
}
