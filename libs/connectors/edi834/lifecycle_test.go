package edi834

import (
	"context"
	"encoding/json"
	"maps"
	"net"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connector/filestest"
)

// tree is JSON as a mapped body is.
func tree(t testing.TB, text string) (out map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// with is a copy of a body in which some paths of the first two levels differ.
func with(t testing.TB, body map[string]any, changes map[string]any) map[string]any {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	out := tree(t, string(raw))
	for path, v := range changes {
		at := out
		for i := range path {
			if path[i] == '.' {
				inner, ok := out[path[:i]].(map[string]any)
				if !ok {
					inner = map[string]any{}
					out[path[:i]] = inner
				}
				at, path = inner, path[i+1:]
				break
			}
		}
		at[path] = v
	}
	return out
}

const someone = `{
  "status": "active",
  "subscriber": {"number": "E1", "family": "Rossi", "given": "Ada", "ssn": "900-12-3401", "birth_date": "1990-02-01", "gender": "female", "marital_status": "married"},
  "home": {"lines": ["1 Main St"], "city": "Boise", "region": "US-ID", "postal_code": "83702", "country": "US"},
  "employment": {"type": "full_time", "hire_date": "2026-01-05"},
  "reporting": {"department": "ENG"},
  "elections": [
    {"plan": "med-ppo", "kind": "medical", "coverage": "employee_spouse", "start": "2026-02-01", "dependants": ["d1"]},
    {"plan": "dental-a", "kind": "dental", "coverage": "employee", "start": "2026-02-01"}
  ],
  "dependants": [
    {"id": "d1", "relationship": "spouse", "family": "Rossi", "given": "Leo", "ssn": "900123402", "birth_date": "1989-03-04", "gender": "male"},
    {"id": "d2", "relationship": "child", "family": "Rossi", "given": "Mia", "birth_date": "2020-03-04", "gender": "female"}
  ]
}`

func elected(kv ...any) map[string]any {
	out := map[string]any{"plan": "med-ppo", "kind": "medical", "coverage": "employee", "start": "2026-02-01"}
	for i := 0; i < len(kv); i += 2 {
		name, _ := kv[i].(string)
		out[name] = kv[i+1]
	}
	return out
}

// TestConformance runs the promises of all connectors of files.
func TestConformance(t *testing.T) {
	ada := tree(t, someone)
	bo := with(t, ada, map[string]any{"subscriber.number": "E2", "subscriber.given": "Bo", "subscriber.ssn": "900123409"})
	settings := profileSettings(t)
	for _, name := range []string{"user", "host_key"} {
		delete(settings, name)
	}
	settings["acknowledge"] = "asked" // of the fake
	wrong := func(id string, changes map[string]any) connector.Delivery {
		return connector.Delivery{ID: id, Body: with(t, ada, changes)}
	}
	filestest.Run(t, filestest.Setup{
		Type: Type, Settings: settings,
		Changes: []connector.Delivery{{ID: "e1", Body: ada}, {ID: "e2", Body: bo}, {ID: "e3", Body: with(t, bo, map[string]any{"subscriber.number": "E3"})}},
		Nothing: []connector.Delivery{
			{ID: "none", Body: with(t, ada, map[string]any{"elections": []any{}})},
			{ID: "waived", Body: with(t, ada, map[string]any{"elections": []any{elected("waived", true)}})},
			{ID: "same", Body: ada, Before: ada},
			{ID: "preferred", Body: with(t, ada, map[string]any{"reporting.location": "Oslo"}), Before: ada},
			{ID: "never", Body: with(t, ada, map[string]any{"status": "terminated", "employment.termination_date": "2026-02-28"})},
			{ID: "pre", Body: with(t, ada, map[string]any{"status": "pre_hire"})},
			{ID: "life", Body: with(t, ada, map[string]any{"elections": []any{elected("plan", "life-2x", "kind", "life")}})},
		},
		Wrong: []connector.Delivery{
			wrong("plan", map[string]any{"elections": []any{elected("plan", filestest.Planted)}}),
			wrong("tier", map[string]any{"elections": []any{elected("coverage", filestest.Planted)}}),
			wrong("script", map[string]any{"subscriber.family": filestest.Planted + "王"}),
			wrong("birth", map[string]any{"subscriber.birth_date": filestest.Planted}),
			wrong("state", map[string]any{"home.region": filestest.Planted}),
			wrong("form", map[string]any{"elections": filestest.Planted}),
		},
		Answer: func(t *testing.T, v fake.Vendor, _ connector.File, number int64) {
			t.Helper()
			if _, err := v.Do(t.Context(), "reject", map[string]any{"subscriber": "E2", "segment": "DMG", "element": "2", "code": "8"}); err != nil {
				t.Fatal(err)
			}
			if _, err := v.Do(t.Context(), "answer", map[string]any{"number": number}); err != nil {
				t.Fatal(err)
			}
		},
	})
}

// office is a carrier that answers at once, and delivery's part in short.
type office struct {
	t      *testing.T
	vendor fake.Listener
	faults *fake.Faults
	files  connector.Files
	number int64
	told   map[string]map[string]any
}

func newOffice(t *testing.T, kv ...any) *office {
	t.Helper()
	o := &office{t: t, faults: &fake.Faults{}, told: map[string]map[string]any{}}
	a := account(t, kv...)
	texts := map[string]string{}
	for name, v := range a.Settings {
		if s, ok := v.(string); ok {
			texts[name] = s
		}
	}
	vendor, ok := Type.Fake(fake.Options{Now: a.Now, Settings: texts}).(fake.Listener)
	if !ok {
		t.Fatal("the fake does not listen")
	}
	o.vendor = vendor
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- vendor.Serve(ctx, l, o.faults) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	a.BaseURL = "sftp://" + l.Addr().String()
	if o.files, err = Type.Files(a); err != nil {
		t.Fatal(err)
	}
	return o
}

// tell brings changes in one file and gives the answer.
func (o *office) tell(all ...connector.Delivery) (connector.File, connector.Answer) {
	o.t.Helper()
	var pieces []connector.Piece
	for i := range all {
		all[i].Before = o.told[all[i].ID]
		p, err := o.files.Piece(all[i])
		if err != nil {
			o.t.Fatal(err)
		}
		if len(p.Content) == 0 {
			o.t.Fatalf("%s gives no piece", all[i].ID)
		}
		pieces = append(pieces, p)
	}
	o.number++
	f, err := o.files.Build(connector.Numbering{Number: o.number, At: filestest.At}, pieces)
	if err != nil {
		o.t.Fatal(err)
	}
	if err := o.files.Put(o.t.Context(), f); err != nil {
		o.t.Fatal(err)
	}
	answers, err := o.files.Answers(o.t.Context(), []connector.Sent{{Number: o.number, At: filestest.At, Starts: f.Starts, Piece: func(_ context.Context, i int) (connector.Piece, error) { return pieces[i], nil }}})
	if err != nil || len(answers) != 1 {
		o.t.Fatalf("answers %v, %v", answers, err)
	}
	if len(answers[0].Refused) == 0 {
		for _, d := range all {
			o.told[d.ID] = d.Body
		}
	}
	return f, answers[0]
}

// insured is what the carrier knows of a subscriber in short: lines with plan,
// tier, start and end, then dependants.
func (o *office) insured(number string) []string {
	o.t.Helper()
	people, _ := o.vendor.Log().State()
	return inShort(people[number], "")
}

func inShort(m map[string]any, indent string) (out []string) {
	if m == nil {
		return nil
	}
	if p, ok := m["problems"].([]string); ok {
		out = append(out, p...)
	}
	who, _ := m["given"].(string)
	standing, _ := m["standing"].(string)
	out = append(out, indent+who+" "+standing)
	lines, _ := m["coverages"].(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(lines)) {
		l, _ := lines[key].(map[string]any)
		text := indent + key
		for _, part := range []string{"plan", "tier", "start", "end"} {
			s, _ := l[part].(string)
			if s == "" {
				s = "-"
			}
			text += " " + s
		}
		out = append(out, text)
	}
	deps, _ := m["dependants"].([]any)
	for _, d := range deps {
		if dm, ok := d.(map[string]any); ok {
			out = append(out, inShort(dm, indent+"  ")...)
		}
	}
	return out
}

// TestLife: what a person goes through arrives at the carrier as it is, each
// time accepted, and never as something that does not fit what is known.
func TestLife(t *testing.T) {
	o := newOffice(t, "upper_case", false)
	ada := tree(t, someone)
	medical := elected("coverage", "employee_spouse", "dependants", []any{"d1"})
	dental := elected("plan", "dental-a", "kind", "dental")
	family := func(kv ...any) map[string]any {
		return elected(append([]any{"coverage", "family", "dependants", []any{"d1", "d2"}}, kv...)...)
	}
	ms := func(kv ...any) map[string]any {
		out := map[string]any{}
		for i := 0; i < len(kv); i += 2 {
			name, _ := kv[i].(string)
			out[name] = kv[i+1]
		}
		return out
	}
	steps := []struct {
		what      string
		effective string
		changes   map[string]any
		want      []string
	}{
		{"enrolled", "2026-01-05", nil, []string{
			"Ada FT", "DEN DENT-A EMP 20260201 -", "HLT PPO-500 ESP 20260201 -", "  Leo ", "  HLT PPO-500 - 20260201 -"}},
		{"a line is added", "2026-03-01", ms("elections", []any{medical, dental, elected("plan", "vision-base", "kind", "vision", "start", "2026-03-01")}), []string{
			"Ada FT", "DEN DENT-A EMP 20260201 -", "HLT PPO-500 ESP 20260201 -", "VIS VIS-BASE EMP 20260301 -", "  Leo ", "  HLT PPO-500 - 20260201 -"}},
		{"a child joins, vision is waived", "2026-04-01", ms("elections", []any{family("reason", "birth"), dental, elected("plan", "vision-base", "kind", "vision", "start", "2026-05-01", "waived", true)}), []string{
			"Ada FT", "DEN DENT-A EMP 20260201 -", "HLT PPO-500 FAM 20260201 -", "VIS VIS-BASE EMP 20260301 20260430", "  Leo ", "  HLT PPO-500 - 20260201 -", "  Mia ", "  HLT PPO-500 - 20260401 -"}},
		{"another number and name", "2026-04-10", ms("subscriber.ssn", "900123408", "subscriber.family", "Bianchi"), []string{
			"Ada FT", "DEN DENT-A EMP 20260201 -", "HLT PPO-500 FAM 20260201 -", "VIS VIS-BASE EMP 20260301 20260430", "  Leo ", "  HLT PPO-500 - 20260201 -", "  Mia ", "  HLT PPO-500 - 20260401 -"}},
		{"leave", "2026-05-01", ms("status", "leave"), []string{
			"Ada L1", "DEN DENT-A EMP 20260201 -", "HLT PPO-500 FAM 20260201 -", "VIS VIS-BASE EMP 20260301 20260430", "  Leo ", "  HLT PPO-500 - 20260201 -", "  Mia ", "  HLT PPO-500 - 20260401 -"}},
		{"another plan", "2026-06-01", ms("status", "active", "elections", []any{family("plan", "med-hdhp", "start", "2026-06-01"), dental}), []string{
			"Ada FT", "DEN DENT-A EMP 20260201 -", "HLT HDHP-3000 FAM 20260201 -", "VIS VIS-BASE EMP 20260301 20260430", "  Leo ", "  HLT HDHP-3000 - 20260201 -", "  Mia ", "  HLT HDHP-3000 - 20260401 -"}},
		{"divorce", "2026-07-10", ms("elections", []any{elected("plan", "med-hdhp", "start", "2026-06-01", "coverage", "employee_children", "dependants", []any{"d2"}, "reason", "divorce"), dental}), []string{
			"Ada FT", "DEN DENT-A EMP 20260201 -", "HLT HDHP-3000 ECH 20260201 -", "VIS VIS-BASE EMP 20260301 20260430", "  Leo ", "  HLT HDHP-3000 - 20260201 20260731", "  Mia ", "  HLT HDHP-3000 - 20260401 -"}},
		{"another employee number", "2026-07-11", ms("subscriber.number", "E77"), nil},
		{"leaves", "2026-08-08", ms("status", "terminated", "employment.termination_date", "2026-08-08"), []string{
			"Ada TE", "DEN DENT-A EMP 20260201 20260831", "HLT HDHP-3000 ECH 20260201 20260831", "VIS VIS-BASE EMP 20260301 20260430", "  Leo ", "  HLT HDHP-3000 - 20260201 20260731", "  Mia ", "  HLT HDHP-3000 - 20260401 20260831"}},
		{"comes back", "2026-10-01", ms("status", "active", "employment.termination_date", nil, "elections", []any{elected("start", "2026-10-01")}), []string{
			"Ada FT", "DEN DENT-A EMP 20260201 20260831", "HLT PPO-500 EMP 20261001 -", "VIS VIS-BASE EMP 20260301 20260430", "  Leo ", "  HLT HDHP-3000 - 20260201 20260731", "  Mia ", "  HLT HDHP-3000 - 20260401 20260831"}},
	}
	number := "E1"
	for _, s := range steps {
		ada = with(t, ada, s.changes)
		f, a := o.tell(connector.Delivery{ID: "e1", Body: ada, Effective: s.effective})
		if len(a.Refused) > 0 {
			t.Fatalf("%s: refused %+v\n%s", s.what, a.Refused, f.Parts[0].Content)
		}
		if n, _ := s.changes["subscriber.number"].(string); n != "" {
			number = n
			if gone := o.insured("E1"); gone != nil {
				t.Errorf("the former number is still known: %q", gone)
			}
			s.want = o.insured(number)
		}
		if d := cmp.Diff(s.want, o.insured(number)); d != "" || s.want == nil {
			t.Errorf("%s (-want +got):\n%s\n%s", s.what, d, f.Parts[0].Content)
		}
	}
}
