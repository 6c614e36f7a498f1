package edi834

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connector/filestest"
	vendorfake "github.com/muster-hr/muster/libs/connectors/edi834/fake"
	"github.com/muster-hr/muster/libs/connectors/edi834/x12"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/testkit/npm"
)

// names that carriers' systems have stumbled over; "*" and "~" are separators.
var names = []string{"Rossi", "O'Brien-Nuñez", "Łuczak", "Straße*Weg", "d’Arcy", "Ng", "Müller ~ Co", "St. John", "van der Berg", "García:López"}

func anyDay(t *rapid.T, label string) string {
	return time.Date(2026, time.Month(rapid.IntRange(1, 12).Draw(t, label)), rapid.IntRange(1, 28).Draw(t, label), 0, 0, 0, 0, time.UTC).Format(day)
}

func pick(t *rapid.T, label string, of ...string) string { return rapid.SampledFrom(of).Draw(t, label) }

// anybody is a body of somebody whose number stays.
func anybody(t *rapid.T) map[string]any {
	sub := map[string]any{
		"number": "E10482", "family": rapid.SampledFrom(names).Draw(t, "family"), "given": pick(t, "given", "Zoë", "Ada", "J. R."),
		"middle": pick(t, "middle", "", "M", "Ångström"), "birth_date": pick(t, "birth", "1991-07-04", "1990-07-04"),
		"gender": pick(t, "gender", "", "female", "male", "non_binary"), "marital_status": pick(t, "marital", "", "single", "married", "widowed"),
		"ssn": pick(t, "ssn", "", "900123401", "900-12-3409"),
	}
	status := pick(t, "status", "pre_hire", "active", "active", "active", "leave", "terminated")
	employment := map[string]any{"type": pick(t, "type", "", "full_time", "part_time", "intern"), "hire_date": "2025-12-01"}
	if status == "terminated" {
		if rapid.IntRange(0, 3).Draw(t, "termination known") > 0 {
			employment["termination_date"] = anyDay(t, "termination")
		}
		employment["termination_reason"] = pick(t, "why", "", "retirement", "quarrel")
	}
	var deps []any
	for i := range 3 {
		deps = append(deps, map[string]any{
			"id": fmt.Sprint("d", i), "family": rapid.SampledFrom(names).Draw(t, "dep family"), "given": fmt.Sprint("Kid ", i),
			"birth_date": []string{"2020-01-01", "2020-01-01", "2021-06-07"}[i], "gender": pick(t, "dep gender", "female", "male"),
			"relationship": pick(t, "relationship", "spouse", "child", "Domestic Partner"), "ssn": pick(t, "dep ssn", "", fmt.Sprintf("90012345%d", i+1)),
		})
	}
	elections := []any{}
	for _, kind := range []struct {
		kind  string
		plans []string
	}{{"medical", []string{"med-ppo", "med-hdhp"}}, {"dental", []string{"dental-a"}}, {"vision", []string{"vision-base"}}} {
		if !rapid.Bool().Draw(t, kind.kind) {
			continue
		}
		e := map[string]any{"plan": pick(t, "plan", kind.plans...), "kind": kind.kind, "start": pick(t, "start", "2026-01-01", "2026-02-15", "2026-03-01"), "reason": pick(t, "reason", "", "birth", "open enrolment")}
		var covered []any
		for i := range 3 {
			if rapid.Bool().Draw(t, "covered") {
				covered = append(covered, fmt.Sprint("d", i))
			}
		}
		e["coverage"] = "employee"
		if len(covered) > 0 {
			e["coverage"], e["dependants"] = pick(t, "coverage", "family", "employee_children"), covered
		}
		if rapid.IntRange(0, 4).Draw(t, "waives") == 0 {
			e["waived"] = true
		}
		if rapid.IntRange(0, 3).Draw(t, "ends") == 0 {
			e["end"] = pick(t, "end", "2026-06-30", "2026-12-31")
		}
		elections = append(elections, e)
	}
	return map[string]any{
		"status": status, "subscriber": sub, "employment": employment, "elections": elections, "dependants": deps,
		"home":    map[string]any{"lines": []any{pick(t, "street", "1 Main St #4", "Rue d'Été 5")}, "city": "Portland", "region": "US-OR", "postal_code": pick(t, "zip", "97204", "97204-1234"), "country": "US"},
		"contact": map[string]any{"home_phone": pick(t, "phone", "", "+1 503 555 0163", "5035550163"), "email": pick(t, "mail", "", "a.b@home.example")},
	}
}

// anyProfile are settings that carriers differ in.
func anyProfile(t *rapid.T) []any {
	return []any{
		"character_set", pick(t, "set", "basic", "extended"), "upper_case", rapid.Bool().Draw(t, "upper"), "totals", rapid.Bool().Draw(t, "totals"),
		"file_date", rapid.Bool().Draw(t, "file date"), "line_break", pick(t, "break", "none", "lf", "crlf"), "change_date", pick(t, "change date", "303", "348"),
		"plan_change", pick(t, "plan change", "change", "replace"), "tier_on_dependants", rapid.Bool().Draw(t, "tier"),
		"term_style", pick(t, "term", "every_coverage", "every_member", "subscriber"), "member_id", pick(t, "id", "ssn", "number", "none"), "set_size", rapid.IntRange(0, 2).Draw(t, "set size"),
		"coverage_end", pick(t, "end rule", "end_of_month", "same_day", "end_of_next_month", "end_of_previous_month"),
	}
}

// TestAnyLife: whatever somebody goes through, every file is one that a strict
// translator accepts, and the carrier never hears what cannot be: two coverages
// of a line, an end of what it does not know. What it knows at last is what the
// last body says.
func TestAnyLife(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		settings := anyProfile(rt)
		f := carrier(t, settings...)
		vendor := vendorfake.New(fake.Options{Now: f.Now, Settings: map[string]string{"folder": "in", "usage": "T"}})
		var told map[string]any
		was, history, untold := "", "", false
		for n := range rapid.IntRange(1, 5).Draw(rt, "changes") {
			body := anybody(rt)
			d := connector.Delivery{ID: "e1", Body: body, Before: told, Was: was, Effective: anyDay(rt, "effective")}
			d.Status, _ = body["status"].(string)
			if rapid.Bool().Draw(rt, "on no day") {
				d.Effective = ""
			}
			switch rapid.IntRange(0, 5).Draw(rt, "leaves") {
			case 0: // the integration; nothing else changed
				if told != nil {
					d.Body = told
				}
				d.Status = "terminated"
			case 1: // the employment, and the source takes away what was elected
				d.Body["status"], d.Status = "terminated", "terminated"
				d.Body["elections"] = []any{}
				if rapid.Bool().Draw(rt, "family too") {
					d.Body["dependants"] = []any{}
				}
			case 2: // the employment; what was elected stays
				if told != nil {
					d.Body["status"], d.Status = "terminated", "terminated"
					d.Body["elections"] = told["elections"]
				}
			}
			p, err := f.Piece(d)
			if err != nil {
				if fault.Of(err).Class != fault.Record || told != nil && d.Status == "terminated" { // an end is never held
					rt.Fatalf("%v", err)
				}
				continue
			}
			if len(p.Content) > 0 {
				file, err := f.Build(connector.Numbering{Number: int64(n + 1), At: filestest.At}, []connector.Piece{p})
				if err != nil {
					rt.Fatal(err)
				}
				text := string(file.Parts[0].Content)
				history += text
				strict(rt, f, file)
				if _, err := vendor.Do(context.Background(), "take", map[string]any{"text": text}); err != nil {
					rt.Fatal(err)
				}
				people, _ := vendor.Log().State()
				if problems := people["E10482"]["problems"]; problems != nil {
					rt.Fatalf("%v\n%s", problems, history)
				}
				elections, _ := d.Body["elections"].([]any)
				untold = d.Status == "terminated" && len(elections) > 0 && !reflect.DeepEqual(told["elections"], d.Body["elections"])
				told, was = d.Body, d.Status // as delivery does: what the carrier is not told of is not known to it
			}
			agrees(rt, vendor, f, d)
			if untold {
				return // what is first seen with the end is never told: see the limits
			}
		}
	})
}

// strict reads a file as a strict translator does.
func strict(t interface{ Fatalf(string, ...any) }, f *files, file connector.File) {
	all, err := x12.Parse(file.Parts[0].Content)
	if err != nil || len(all) != 1 || !all[0].Whole() || len(all[0].Text)+len(f.lineBreak) != len(file.Parts[0].Content) {
		t.Fatalf("no whole interchange: %v\n%s", err, file.Parts[0].Content)
	}
	for n, set := range all[0].Groups[0].Sets {
		if wrong := vendorfake.Check(set, f.Bool("totals")); len(wrong) > 0 {
			t.Fatalf("set %d: %v\n%s", n+1, wrong, file.Parts[0].Content)
		}
	}
	for _, start := range file.Starts {
		if set := all[0].Groups[0].Sets[start/perSet]; set.Segments[start%perSet-1].ID() != "INS" {
			t.Fatalf("no member begins at %d\n%s", start, file.Parts[0].Content)
		}
	}
}

// agrees compares the carrier's lines with those of a body.
func agrees(t *rapid.T, vendor fake.Vendor, f *files, d connector.Delivery) {
	people, _ := vendor.Log().State()
	is, err := readBody(d.Body, d.Status)
	if err != nil {
		t.Fatal(err)
	}
	if d.Status == "terminated" { // whatever the body says
		is.Status = d.Status
	}
	if is.over() && is.Employment.TerminationDate == "" {
		is.Employment.TerminationDate = f.Now().Format(day)
	}
	want, err := f.cover(is)
	if err != nil {
		t.Fatal(err)
	}
	lines, _ := people["E10482"]["coverages"].(map[string]any)
	today := f.Now().Format(day)
	for key, l := range want.lines {
		got, _ := lines[key].(map[string]any)
		if got == nil {
			if is.over() || l.end != "" && l.end < today {
				continue // never told, and need not be
			}
			t.Fatalf("the carrier does not know %s", key)
		}
		if end, _ := got["end"].(string); got["plan"] != l.code && !is.over() || (end == "") != (l.end == "") && l.end >= today {
			t.Fatalf("%s: the carrier has %v until %q, elected is %s until %q", key, got["plan"], end, l.code, l.end)
		}
	}
	for key, v := range lines {
		got, _ := v.(map[string]any)
		if _, elected := want.lines[key]; !elected && got["end"] == "" {
			t.Fatalf("%s goes on at the carrier and is elected no longer", key)
		}
	}
}

// TestManyInAFile: a file of several people is whole in any number of sets.
func TestManyInAFile(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f, file := anyFile(t, rt)
		strict(rt, f, file)
	})
}

func anyFile(t testing.TB, rt *rapid.T) (*files, connector.File) {
	f := carrier(t, anyProfile(rt)...)
	var pieces []connector.Piece
	for range rapid.IntRange(1, 4).Draw(rt, "people") {
		body := anybody(rt)
		body["status"] = "active"
		body["elections"] = append([]any{}, elected("plan", "med-ppo"))
		p, err := f.Piece(connector.Delivery{ID: "e1", Body: body})
		if err != nil {
			rt.Fatal(err)
		}
		pieces = append(pieces, p)
	}
	file, err := f.Build(connector.Numbering{Number: rapid.Int64Range(1, maxNumber).Draw(rt, "number"), At: filestest.At}, pieces)
	if err != nil {
		rt.Fatal(err)
	}
	return f, file
}

const peer = `const { X12Parser } = require("node-x12");
const fs = require("fs");
for (const f of process.argv.slice(2)) {
  try { new X12Parser(true).parse(fs.readFileSync(f, "utf8")); console.log("ok"); } catch (e) { console.log(f + ": " + e.message); }
}
`

// TestAnotherParser: node-x12 in its strict mode, which checks envelope and
// counts, reads every kind of file that we write, and refuses a wrong one.
func TestAnotherParser(t *testing.T) {
	dir, err := npm.Install(t.Context(), "node-x12", map[string][]byte{
		"package.json": []byte(`{"private": true, "dependencies": {"node-x12": "1.7.1"}}`), "parse.js": []byte(peer),
	})
	if err != nil {
		t.Fatal(err)
	}
	made := rapid.Custom(func(rt *rapid.T) connector.File { _, file := anyFile(t, rt); return file })
	out := t.TempDir()
	args := []string{"parse.js"}
	write := func(name string, data []byte) {
		path := filepath.Join(out, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	for seed := range 40 {
		write(fmt.Sprintf("%d.x12", seed), made.Example(seed).Parts[0].Content)
	}
	samples, err := filepath.Glob("testdata/vendor/*.edi")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range samples {
		raw, err := os.ReadFile(s)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(s, "ta1") { // it wants a TA1 within a group, where none is
			write(filepath.Base(s), raw)
		}
	}
	raw, err := os.ReadFile("testdata/vendor/add.edi")
	if err != nil {
		t.Fatal(err)
	}
	write("wrong.x12", []byte(strings.Replace(string(raw), "SE*41", "SE*40", 1)))
	cmd := exec.CommandContext(t.Context(), "node", args...)
	cmd.Dir = dir
	said, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	lines := strings.Split(strings.TrimSpace(string(said)), "\n")
	last := len(lines) - 1
	if len(lines) != len(args)-1 || !strings.Contains(lines[last], "SE01") {
		t.Fatalf("%d lines for %d files, the last %q", len(lines), len(args)-1, lines[last])
	}
	if i := slices.IndexFunc(lines[:last], func(l string) bool { return l != "ok" }); i >= 0 {
		t.Error(lines[i])
	}
}
