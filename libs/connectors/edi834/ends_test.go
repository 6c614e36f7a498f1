package edi834

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/connector"
)

// heads are the segments that say what happens and when, of a change that is
// told on 2026-03-02.
func heads(t *testing.T, f *files, d connector.Delivery) (out []string) {
	t.Helper()
	p, err := f.Piece(d)
	if err != nil {
		return []string{err.Error()}
	}
	if len(p.Content) == 0 {
		return nil
	}
	segments, err := segmentsOf(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range segments {
		if s.ID() == "INS" || s.ID() == "DTP" || s.ID() == "HD" {
			out = append(out, strings.Join(s, "*"))
		}
	}
	return out
}

// gone is how Ada and Leo end with a month.
func gone(employment, last string) []string {
	out := []string{"INS*Y*18*024*08*A***TE"}
	if employment != "" {
		out = append(out, "DTP*337*D8*"+employment)
	}
	return append(out, "DTP*357*D8*"+last,
		"HD*024**HLT*PPO-500*ESP", "DTP*349*D8*"+last, "HD*024**DEN*DENT-A*EMP", "DTP*349*D8*"+last,
		"INS*N*01*024*08*A", "DTP*357*D8*"+last, "HD*024**HLT*PPO-500", "DTP*349*D8*"+last)
}

// TestLeavesTheIntegration: nothing of the body says that they go; the carrier
// must not keep them, and must hear once only.
func TestLeavesTheIntegration(t *testing.T) {
	ada := tree(t, someone)
	left := with(t, ada, map[string]any{"status": "terminated"})
	for _, c := range []struct {
		what     string
		settings []any
		d        connector.Delivery
		want     []string
	}{
		{"the body says active", nil, connector.Delivery{Status: "terminated", Was: "active", Body: ada, Before: ada}, gone("20260302", "20260331")},
		{"the body says terminated", nil, connector.Delivery{Status: "terminated", Was: "active", Body: left, Before: ada}, gone("20260302", "20260331")},
		{"same day", []any{"coverage_end", "same_day"}, connector.Delivery{Status: "terminated", Body: ada, Before: ada}, gone("20260302", "20260302")},
		{"a day is known", nil, connector.Delivery{Status: "terminated", Body: ada, Before: ada, Effective: "2026-02-20"}, gone("20260220", "20260228")},
		{"once more", nil, connector.Delivery{Status: "terminated", Was: "terminated", Body: left, Before: left}, nil},
		{"once more, with what was said of old", nil, connector.Delivery{Status: "terminated", Was: "terminated", Body: ada, Before: ada}, nil},
		{"comes back", nil, connector.Delivery{Status: "active", Was: "terminated", Body: ada, Before: left}, []string{
			"INS*Y*18*025*41*A***FT", "DTP*336*D8*20260105", "DTP*356*D8*20260201",
			"HD*025**HLT*PPO-500*ESP", "DTP*348*D8*20260201", "HD*025**DEN*DENT-A*EMP", "DTP*348*D8*20260201",
			"INS*N*01*025*41*A", "DTP*356*D8*20260201", "HD*025**HLT*PPO-500", "DTP*348*D8*20260201"}},
		{"comes back under another election", nil, connector.Delivery{Status: "active", Was: "terminated", Before: left,
			Body: with(t, ada, map[string]any{"elections": []any{elected("start", "2026-04-01")}})}, []string{
			"INS*Y*18*025*41*A***FT", "DTP*336*D8*20260105", "DTP*356*D8*20260401", "HD*021**HLT*PPO-500*EMP", "DTP*348*D8*20260401"}},
		{"comes back under another plan", nil, connector.Delivery{Status: "active", Was: "terminated",
			Before: with(t, left, map[string]any{"employment.termination_date": "2026-02-10"}), Body: with(t, ada, map[string]any{"elections": []any{elected("plan", "med-hdhp")}})}, []string{
			"INS*Y*18*025*41*A***FT", "DTP*336*D8*20260105", "DTP*356*D8*20260201", "HD*021**HLT*HDHP-3000*EMP", "DTP*348*D8*20260201"}},
		{"the day comes later", nil, connector.Delivery{Status: "terminated", Was: "terminated", Before: left,
			Body: with(t, left, map[string]any{"employment.termination_date": "2026-02-20"})}, gone("20260220", "20260228")},
		{"the day comes later and is later", nil, connector.Delivery{Status: "terminated", Was: "terminated", Before: left,
			Body: with(t, left, map[string]any{"employment.termination_date": "2026-04-20"})}, gone("20260420", "20260430")},
		{"their elections cannot be read any more", nil, connector.Delivery{Status: "terminated", Was: "active", Before: ada,
			Body: with(t, ada, map[string]any{"elections": []any{elected("coverage", "clan"), elected("plan", "gold")}})}, gone("20260302", "20260331")},
	} {
		if d := cmp.Diff(c.want, heads(t, carrier(t, c.settings...), c.d)); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, d)
		}
	}
}

// TestEndOnNoDay: a day that is none is held, not guessed.
func TestEndOnNoDay(t *testing.T) {
	ada := tree(t, someone)
	got := heads(t, carrier(t), connector.Delivery{Before: ada, Body: with(t, ada, map[string]any{"status": "terminated", "employment.termination_date": "2026-02-30"})})
	if len(got) != 1 || !strings.Contains(got[0], "bad_date at employment.termination_date") {
		t.Errorf("%q", got)
	}
}

// TestNoEffectiveDay: nobody says from which day a change holds; then it holds
// from the day on which it is told.
func TestNoEffectiveDay(t *testing.T) {
	ada := tree(t, someone)
	medical := func(kv ...any) map[string]any {
		return elected(append([]any{"coverage", "employee_spouse", "dependants", []any{"d1"}}, kv...)...)
	}
	dental := elected("plan", "dental-a", "kind", "dental")
	for _, c := range []struct {
		what    string
		changes map[string]any
		want    []string
	}{
		{"divorce", map[string]any{"elections": []any{medical("coverage", "employee", "dependants", nil, "reason", "divorce"), dental}}, []string{
			"INS*Y*18*001*01*A***FT", "DTP*303*D8*20260302", "HD*001**HLT*PPO-500*EMP", "DTP*303*D8*20260302", "DTP*348*D8*20260201",
			"INS*N*01*024*01*A", "DTP*357*D8*20260331", "HD*024**HLT*PPO-500", "DTP*349*D8*20260331"}},
		{"an election is gone", map[string]any{"elections": []any{medical()}}, []string{
			"INS*Y*18*001*07*A***FT", "DTP*303*D8*20260302", "HD*024**DEN*DENT-A*EMP", "DTP*349*D8*20260331"}},
		{"a child joins", map[string]any{"elections": []any{medical("coverage", "family", "dependants", []any{"d1", "d2"}), dental}}, []string{
			"INS*Y*18*001*22*A***FT", "DTP*303*D8*20260302", "HD*001**HLT*PPO-500*FAM", "DTP*303*D8*20260302", "DTP*348*D8*20260201",
			"INS*N*19*021*22*A", "DTP*356*D8*20260302", "HD*021**HLT*PPO-500", "DTP*348*D8*20260302"}},
		{"elected anew for the next year, without the spouse", map[string]any{"elections": []any{medical("start", "2027-01-01", "coverage", "employee", "dependants", nil), dental}}, []string{
			"INS*Y*18*001*22*A***FT", "DTP*303*D8*20270101", "HD*001**HLT*PPO-500*EMP", "DTP*303*D8*20270101", "DTP*348*D8*20270101",
			"INS*N*01*024*07*A", "DTP*357*D8*20261231", "HD*024**HLT*PPO-500", "DTP*349*D8*20261231"}},
		{"address", map[string]any{"home.city": "Nampa"}, []string{"INS*Y*18*001*43*A***FT", "DTP*303*D8*20260302"}},
		{"another plan, from its start", map[string]any{"elections": []any{medical("plan", "med-hdhp", "start", "2026-04-01"), dental}}, []string{
			"INS*Y*18*001*22*A***FT", "DTP*303*D8*20260401", "HD*001**HLT*HDHP-3000*ESP", "DTP*303*D8*20260401", "DTP*348*D8*20260401",
			"INS*N*01*001*22*A", "DTP*303*D8*20260401", "HD*001**HLT*HDHP-3000", "DTP*303*D8*20260401", "DTP*348*D8*20260401"}},
	} {
		if d := cmp.Diff(c.want, heads(t, carrier(t), connector.Delivery{Body: with(t, ada, c.changes), Before: ada})); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, d)
		}
	}
	born := with(t, ada, map[string]any{"elections": []any{medical("coverage", "family", "dependants", []any{"d1", "d3"}), dental}})
	deps, _ := born["dependants"].([]any)
	born["dependants"] = append(deps, map[string]any{"id": "d3", "relationship": "child", "family": "Rossi", "given": "Eva", "birth_date": "2026-02-20", "gender": "female"})
	if got := strings.Join(heads(t, carrier(t), connector.Delivery{Body: born, Before: ada}), " "); !strings.HasSuffix(got, "HD*021**HLT*PPO-500 DTP*348*D8*20260220") {
		t.Errorf("a child is not covered from its birth: %s", got)
	}
}

// TestAnotherLineOfAKind: who goes from a PPO to an HMO never has both.
func TestAnotherLineOfAKind(t *testing.T) {
	ada := tree(t, someone)
	f := carrier(t, "plan_map", map[string]string{"med-ppo": "PPO PPO-500", "med-hmo": "HMO HMO-1", "dental-a": "DEN DENT-A"})
	dental := elected("plan", "dental-a", "kind", "dental")
	hmo := func(start string, deps ...any) map[string]any {
		tier := "employee"
		if len(deps) > 0 {
			tier = "employee_spouse"
		}
		return map[string]any{"elections": []any{elected("plan", "med-hmo", "start", start, "coverage", tier, "dependants", deps), dental}}
	}
	for _, c := range []struct {
		what    string
		changes map[string]any
		want    []string
	}{
		{"with the spouse", hmo("2026-03-16", "d1"), []string{
			"INS*Y*18*001*22*A***FT", "DTP*303*D8*20260316", "HD*021**HMO*HMO-1*ESP", "DTP*348*D8*20260316", "HD*024**PPO*PPO-500*ESP", "DTP*349*D8*20260315",
			"INS*N*01*001*22*A", "DTP*303*D8*20260316", "HD*021**HMO*HMO-1", "DTP*348*D8*20260316", "HD*024**PPO*PPO-500", "DTP*349*D8*20260315"}},
		{"without the spouse", hmo("2026-03-16"), []string{
			"INS*Y*18*001*22*A***FT", "DTP*303*D8*20260316", "HD*021**HMO*HMO-1*EMP", "DTP*348*D8*20260316", "HD*024**PPO*PPO-500*ESP", "DTP*349*D8*20260315",
			"INS*N*01*024*07*A", "DTP*357*D8*20260315", "HD*024**PPO*PPO-500", "DTP*349*D8*20260315"}},
		{"from the same day", hmo("2026-02-01"), []string{
			"INS*Y*18*001*22*A***FT", "DTP*303*D8*20260201", "HD*021**HMO*HMO-1*EMP", "DTP*348*D8*20260201", "HD*024**PPO*PPO-500*ESP", "DTP*349*D8*20260201",
			"INS*N*01*024*07*A", "DTP*357*D8*20260201", "HD*024**PPO*PPO-500", "DTP*349*D8*20260201"}},
	} {
		if d := cmp.Diff(c.want, heads(t, f, connector.Delivery{Body: with(t, ada, c.changes), Before: ada})); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, d)
		}
	}
}

// TestPlanYear: an election that names the end of the plan year goes on until
// then, and whatever happens before it is told.
func TestPlanYear(t *testing.T) {
	medical := func(kv ...any) map[string]any {
		return elected(append([]any{"coverage", "employee_spouse", "dependants", []any{"d1"}, "start", "2026-01-01", "end", "2026-12-31"}, kv...)...)
	}
	dental := elected("plan", "dental-a", "kind", "dental", "start", "2026-01-01", "end", "2026-12-31")
	ada := with(t, tree(t, someone), map[string]any{"elections": []any{medical(), dental}})
	alone := with(t, ada, map[string]any{"elections": []any{medical("coverage", "employee", "dependants", nil), dental}})
	elections := func(all ...any) map[string]any { return with(t, ada, map[string]any{"elections": all}) }
	for _, c := range []struct {
		what    string
		was, is map[string]any
		want    []string
	}{
		{"a spouse goes", ada, alone, []string{
			"INS*Y*18*001*22*A***FT", "DTP*303*D8*20260302", "HD*001**HLT*PPO-500*EMP", "DTP*303*D8*20260302", "DTP*348*D8*20260101", "DTP*349*D8*20261231",
			"INS*N*01*024*07*A", "DTP*357*D8*20260331", "HD*024**HLT*PPO-500", "DTP*349*D8*20260331"}},
		{"a spouse joins", alone, ada, []string{
			"INS*Y*18*001*22*A***FT", "DTP*303*D8*20260302", "HD*001**HLT*PPO-500*ESP", "DTP*303*D8*20260302", "DTP*348*D8*20260101", "DTP*349*D8*20261231",
			"INS*N*01*021*22*A", "DTP*356*D8*20260302", "HD*021**HLT*PPO-500", "DTP*348*D8*20260302", "DTP*349*D8*20261231"}},
		{"a waiver", ada, elections(medical(), elected("plan", "none-of-them", "kind", "dental", "start", "2026-07-01", "waived", true)), []string{
			"INS*Y*18*001*14*A***FT", "DTP*303*D8*20260302", "HD*024**DEN*DENT-A*EMP", "DTP*349*D8*20260630"}},
		{"a line is gone", ada, elections(medical()), []string{
			"INS*Y*18*001*07*A***FT", "DTP*303*D8*20260302", "HD*024**DEN*DENT-A*EMP", "DTP*349*D8*20260331"}},
		{"its end is told already", elections(medical(), elected("plan", "dental-a", "kind", "dental", "end", "2026-03-31")), elections(medical()), nil},
		{"it goes on without an end", ada, elections(medical(), elected("plan", "dental-a", "kind", "dental", "start", "2026-01-01")), []string{
			"INS*Y*18*001*22*A***FT", "DTP*303*D8*20260302", "HD*001**DEN*DENT-A*EMP", "DTP*303*D8*20260302", "DTP*348*D8*20260101"}},
		{"who leaves with another plan that was never told", ada, with(t, elections(medical("plan", "med-hdhp", "start", "2026-06-01"), dental), map[string]any{
			"status": "terminated", "employment.termination_date": "2026-03-10"}), gone("20260310", "20260331")},
		{"who leaves, elected again from later", elections(medical("end", ""), elected("plan", "dental-a", "kind", "dental")), with(t, elections(medical("start", "2026-06-01"), elected("plan", "dental-a", "kind", "dental")), map[string]any{
			"status": "terminated", "employment.termination_date": "2026-03-10"}), gone("20260310", "20260331")},
	} {
		if d := cmp.Diff(c.want, heads(t, carrier(t), connector.Delivery{Body: c.is, Before: c.was})); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, d)
		}
	}
}

// TestLeavesBeforeAnElectionBegins: who leaves with a plan told that begins later
// has no cover until then.
func TestLeavesBeforeAnElectionBegins(t *testing.T) {
	medical := func(kv ...any) map[string]any {
		return elected(append([]any{"coverage", "employee_spouse", "dependants", []any{"d1"}}, kv...)...)
	}
	ada := tree(t, someone)
	elections := func(all ...any) map[string]any { return with(t, ada, map[string]any{"elections": all}) }
	over := func(body map[string]any, on string) map[string]any {
		return with(t, body, map[string]any{"status": "terminated", "employment.termination_date": on})
	}
	running := medical("end", "2026-05-31")
	both := elections(running, medical("plan", "med-hdhp", "start", "2026-06-01"))
	anew := elections(running, medical("start", "2026-06-01"))
	alone := elections(running, elected("plan", "med-hdhp", "start", "2026-06-01"))
	ends := func(last, on string, own, spouse []string) []string {
		return slices.Concat([]string{"INS*Y*18*024*08*A***TE", "DTP*337*D8*" + on, "DTP*357*D8*" + last}, own, []string{"INS*N*01*024*08*A", "DTP*357*D8*" + last}, spouse)
	}
	next := func(tier, last string) []string {
		return []string{"HD*024**HLT*HDHP-3000" + tier, "DTP*349*D8*" + last}
	}
	old := func(tier, last string) []string { return []string{"HD*024**HLT*PPO-500" + tier, "DTP*349*D8*" + last} }
	from := "20260601"
	for _, c := range []struct {
		what    string
		was, is map[string]any
		want    []string
	}{
		{"another plan from June", both, over(both, "2026-03-10"), ends("20260331", "20260310", slices.Concat(next("*ESP", from), old("*ESP", "20260331")), slices.Concat(next("", from), old("", "20260331")))},
		{"the same plan from June", anew, over(anew, "2026-03-10"), ends("20260331", "20260310", old("*ESP", "20260331"), old("", "20260331"))},
		{"without the spouse from June", alone, over(alone, "2026-03-10"), ends("20260331", "20260310",
			slices.Concat(next("*EMP", from), old("*ESP", "20260331")), old("", "20260331"))},
		{"the elections are gone", both, with(t, over(both, "2026-03-10"), map[string]any{"elections": nil}), ends("20260331", "20260310", slices.Concat(next("*ESP", from), old("*ESP", "20260331")), slices.Concat(next("", from), old("", "20260331")))},
		{"of the running one nothing is said", elections(medical("plan", "med-hdhp", "start", "2026-06-01")), over(elections(medical("plan", "med-hdhp", "start", "2026-06-01")), "2026-03-10"),
			ends("20260331", "20260310", next("*ESP", from), next("", from))},
		{"after it began", both, over(both, "2026-06-10"), ends("20260630", "20260610", next("*ESP", "20260630"), next("", "20260630"))},
		{"once more", over(both, "2026-03-10"), over(both, "2026-03-10"), nil},
		{"the day is another", over(both, "2026-03-10"), over(both, "2026-04-10"), ends("20260430", "20260410", old("*ESP", "20260430"), old("", "20260430"))},
		{"and earlier", over(both, "2026-04-10"), over(both, "2026-03-10"), ends("20260331", "20260310", old("*ESP", "20260331"), old("", "20260331"))},
	} {
		if d := cmp.Diff(c.want, heads(t, carrier(t), connector.Delivery{Body: c.is, Before: c.was})); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, d)
		}
	}
}

// TestLeavesWithNothing: a source that takes elections or family away from who
// leaves does not keep them insured.
func TestLeavesWithNothing(t *testing.T) {
	ada := tree(t, someone)
	for _, c := range []struct {
		what    string
		changes map[string]any
	}{
		{"no elections", map[string]any{"elections": []any{}}},
		{"no dependants", map[string]any{"dependants": []any{}}},
		{"neither", map[string]any{"elections": nil, "dependants": nil}},
	} {
		is := with(t, with(t, ada, c.changes), map[string]any{"status": "terminated", "employment.termination_date": "2026-02-10"})
		got := heads(t, carrier(t), connector.Delivery{Body: is, Before: ada, Effective: "2026-05-01"})
		if d := cmp.Diff(gone("20260210", "20260228"), got); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, d)
		}
		if again := heads(t, carrier(t), connector.Delivery{Body: is, Before: is}); again != nil {
			t.Errorf("%s, again: %q", c.what, again)
		}
	}
}

// TestAnswerOfAnotherUsage: what the carrier's test system says about number 101
// is nothing about our file 101.
func TestAnswerOfAnotherUsage(t *testing.T) {
	for _, name := range []string{"ack-999-accepted.edi", "ack-999-rejected.edi", "ack-ta1-rejected.edi"} {
		text := sample(t, name)
		ours := strings.Split(text, "*")[15]
		other := map[string]string{"T": "P", "P": "T"}[ours]
		f := carrier(t)
		if f.Text("usage") != ours {
			t.Fatalf("%s is of usage %s", name, ours)
		}
		acks, err := f.parse([]byte(strings.Replace(text, "*"+ours+"*:", "*"+other+"*:", 1)))
		if err != nil || len(acks) > 0 {
			t.Errorf("%s of usage %s: %d acks, %v", name, other, len(acks), err)
		}
	}
}

// TestEndNeedsNoAddress: what an end does not send cannot keep it from going.
func TestEndNeedsNoAddress(t *testing.T) {
	ada := tree(t, someone)
	ends := map[string]any{"status": "terminated", "employment.termination_date": "2026-02-10"}
	leo := []any{map[string]any{"id": "d1", "relationship": "spouse", "family": "Rossi", "given": "Leo", "ssn": "900123402", "birth_date": "1989-03-04", "gender": "male",
		"address": map[string]any{"lines": []any{"1 Rue"}, "city": "x", "country": "nowhere"}}}
	for what, changes := range map[string]map[string]any{
		"phone": {"contact.home_phone": "ask Leo"}, "e-mail": {"contact.email": "a b@c"}, "home": {"home.region": "US-XX"}, "no home": {"home": nil},
		"mailing": {"mailing": map[string]any{"lines": []any{"PO Box 5"}}}, "department": {"reporting.department": "財務"}, "a dependant's address": {"dependants": leo},
	} {
		is := with(t, with(t, ada, changes), ends)
		if d := cmp.Diff(gone("20260210", "20260228"), heads(t, carrier(t), connector.Delivery{Body: is, Before: ada})); d != "" {
			t.Errorf("%s (-want +got):\n%s", what, d)
		}
		if d := cmp.Diff(gone("20260210", "20260228"), heads(t, carrier(t), connector.Delivery{Body: with(t, ada, ends), Before: with(t, ada, changes)})); d != "" {
			t.Errorf("%s, of old (-want +got):\n%s", what, d)
		}
	}
	p, err := carrier(t).Piece(connector.Delivery{Before: ada, Body: with(t, with(t, ada, map[string]any{"contact.home_phone": "ask Leo", "subscriber.family": "Bianchi"}), ends)})
	if err != nil || !strings.Contains(string(p.Content), `"74","1","BIANCHI"`) {
		t.Errorf("another name with an end: %s, %v", p.Content, err)
	}
}

// TestEndOfWhoWentWrong: somebody of whom a source takes data away with the
// employment, or makes it wrong, ends as the carrier was told of them.
func TestEndOfWhoWentWrong(t *testing.T) {
	ada := tree(t, someone)
	leo := func(kv ...any) map[string]any {
		out := map[string]any{"id": "d1", "relationship": "spouse", "family": "Rossi", "given": "Leo", "ssn": "900123402", "birth_date": "1989-03-04", "gender": "male"}
		for i := 0; i < len(kv); i += 2 {
			name, _ := kv[i].(string)
			out[name] = kv[i+1]
		}
		return map[string]any{"dependants": []any{out}}
	}
	for what, changes := range map[string]map[string]any{
		"birth date": {"subscriber.birth_date": nil}, "name": {"subscriber.family": "王"}, "number": {"subscriber.number": ""}, "ssn": {"subscriber.ssn": "999999999"},
		"all of them": {"subscriber": nil}, "a dependant's birth date": leo("birth_date", nil), "a dependant's name": leo("given", ""), "a relationship": leo("relationship", "cousin"),
	} {
		is := with(t, with(t, ada, changes), map[string]any{"status": "terminated", "employment.termination_date": "2026-02-10"})
		f := carrier(t)
		d := connector.Delivery{Status: "terminated", Was: "active", Body: is, Before: ada}
		if diff := cmp.Diff(gone("20260210", "20260228"), heads(t, f, d)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
		if p, err := f.Piece(d); err != nil || !strings.Contains(string(p.Content), `["REF","0F","E1"]`) || !strings.Contains(string(p.Content), `["NM1","IL","1","ROSSI","LEO","","","","34","900123402"]`) {
			t.Errorf("%s: %s, %v", what, p.Content, err)
		}
		if again := heads(t, f, connector.Delivery{Status: "terminated", Was: "terminated", Body: is, Before: is}); again != nil {
			t.Errorf("%s, again: %q", what, again)
		}
	}
}
