package pipeline

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/record"
)

func plain(leaf string, v any) string { s, _ := v.(string); return leaf + "=" + s }

func bambooFirst(leaf string) []string {
	if leaf == "compensation.amount" {
		return []string{"bamboohr"}
	}
	return []string{"bamboohr", "greenhouse"}
}

func fresh() *employee.State { return clone(&employee.State{}) }

func TestMerge(t *testing.T) {
	at := time.Now()
	type said struct {
		source string
		fields employee.Flat
		sent   map[string]string
	}
	for _, c := range []struct {
		name      string
		before    []said
		now       said
		want      employee.Flat
		changed   []string
		conflicts []record.Conflict
	}{
		{name: "first word counts", now: said{source: "greenhouse", fields: employee.Flat{"name.given": "A"}}, want: employee.Flat{"name.given": "A"}, changed: []string{"name.given"}},
		{name: "a higher one wins", before: []said{{source: "greenhouse", fields: employee.Flat{"name.given": "A"}}}, now: said{source: "bamboohr", fields: employee.Flat{"name.given": "B"}},
			want: employee.Flat{"name.given": "B"}, changed: []string{"name.given"}},
		{name: "a lower one is a conflict", before: []said{{source: "bamboohr", fields: employee.Flat{"name.given": "B"}}}, now: said{source: "greenhouse", fields: employee.Flat{"name.given": "A"}},
			want: employee.Flat{"name.given": "B"}, conflicts: []record.Conflict{{Path: "name.given", Rule: "lower_rank", Winner: "bamboohr"}}},
		{name: "a lower one that agrees is none", before: []said{{source: "bamboohr", fields: employee.Flat{"name.given": "B"}}}, now: said{source: "greenhouse", fields: employee.Flat{"name.given": "B"}},
			want: employee.Flat{"name.given": "B"}},
		{name: "a lower one fills what is empty", before: []said{{source: "bamboohr", fields: employee.Flat{"name.given": "B"}}}, now: said{source: "greenhouse", fields: employee.Flat{"name.family": "C"}},
			want: employee.Flat{"name.given": "B", "name.family": "C"}, changed: []string{"name.family"}},
		{name: "cleared is said", before: []said{{source: "bamboohr", fields: employee.Flat{"name.middle": "X"}}, {source: "bamboohr", fields: employee.Flat{"name.middle": nil}}}, now: said{source: "greenhouse", fields: employee.Flat{"name.middle": "M"}},
			want: employee.Flat{"name.middle": nil}, conflicts: []record.Conflict{{Path: "name.middle", Rule: "lower_rank", Winner: "bamboohr"}}},
		{name: "an empty field of one who never said it is no word", before: []said{{source: "greenhouse", fields: employee.Flat{"personal_email": "a@b"}}}, now: said{source: "bamboohr", fields: employee.Flat{"personal_email": nil}},
			want: employee.Flat{"personal_email": "a@b"}},
		{name: "what we wrote there may be cleared there", before: []said{{source: "greenhouse", fields: employee.Flat{"personal_email": "a@b"}}}, now: said{source: "bamboohr", fields: employee.Flat{"personal_email": nil}, sent: map[string]string{"personal_email": "x"}},
			want: employee.Flat{"personal_email": nil}, changed: []string{"personal_email"}},
		{name: "an element with nothing but its kind is cleared", before: []said{{source: "bamboohr", fields: employee.Flat{"phones[mobile]": map[string]any{"kind": "mobile", "number": "1"}}}},
			now:  said{source: "bamboohr", fields: employee.Flat{"phones[mobile]": map[string]any{"kind": "mobile", "number": nil}}},
			want: employee.Flat{"phones[mobile]": nil}, changed: []string{"phones[mobile]"}},
		{name: "a list that is said to be empty clears what its source said", before: []said{
			{source: "bamboohr", fields: employee.Flat{"phones[mobile]": map[string]any{"kind": "mobile", "number": "1"}}},
			{source: "greenhouse", fields: employee.Flat{"phones[home]": map[string]any{"kind": "home", "number": "2"}}}},
			now:  said{source: "bamboohr", fields: employee.Flat{"phones": []any{}}},
			want: employee.Flat{"phones": []any{}, "phones[mobile]": nil, "phones[home]": map[string]any{"kind": "home", "number": "2"}}, changed: []string{"phones", "phones[mobile]"}},
		{name: "a list that is cleared clears what its source said", before: []said{{source: "bamboohr", fields: employee.Flat{"phones[mobile]": map[string]any{"kind": "mobile", "number": "1"}}}},
			now:  said{source: "bamboohr", fields: employee.Flat{"phones": nil}},
			want: employee.Flat{"phones[mobile]": nil}, changed: []string{"phones[mobile]"}},
		{name: "absent is not said", before: []said{{source: "bamboohr", fields: employee.Flat{"name.given": "B"}}}, now: said{source: "bamboohr", fields: employee.Flat{}}, want: employee.Flat{"name.given": "B"}},
		{name: "nobody asked this source", now: said{source: "greenhouse", fields: employee.Flat{"compensation.amount": "1"}}, want: employee.Flat{}, conflicts: []record.Conflict{{Path: "compensation.amount", Rule: "no_authority"}}},
		{name: "an old echo is no change", before: []said{{source: "bamboohr", fields: employee.Flat{"name.given": "New"}}},
			now:  said{source: "bamboohr", fields: employee.Flat{"name.given": "Old"}, sent: map[string]string{"name.given": "name.given=Old"}},
			want: employee.Flat{"name.given": "New"}},
		{name: "an echo of what is not there is taken", now: said{source: "bamboohr", fields: employee.Flat{"name.given": "X"}, sent: map[string]string{"name.given": "name.given=X"}},
			want: employee.Flat{"name.given": "X"}, changed: []string{"name.given"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := fresh()
			for _, b := range c.before {
				merge(s, b.source, b.fields, at, b.sent, bambooFirst, plain)
			}
			m := merge(s, c.now.source, c.now.fields, at, c.now.sent, bambooFirst, plain)
			if d := cmp.Diff(c.want, s.Fields); d != "" {
				t.Errorf("fields (-want +got):\n%s", d)
			}
			if d := cmp.Diff(c.changed, m.changed); d != "" {
				t.Errorf("changed (-want +got):\n%s", d)
			}
			if d := cmp.Diff(c.conflicts, m.conflicts); d != "" {
				t.Errorf("conflicts (-want +got):\n%s", d)
			}
		})
	}
}

// Whatever is said in whichever order: a field stands as the highest-ranked
// source that spoke about it said it last, and saying it again changes nothing.
func TestMergeFollowsTheRanking(t *testing.T) {
	sources := []string{"a", "b", "c"}
	rank := func(string) []string { return sources }
	rapid.Check(t, func(t *rapid.T) {
		s, last := fresh(), map[string]map[string]any{}
		for range rapid.IntRange(1, 20).Draw(t, "statements") {
			source := rapid.SampledFrom(sources).Draw(t, "source")
			fields := employee.Flat{}
			for _, leaf := range rapid.SliceOf(rapid.SampledFrom([]string{"name.given", "work_email", "username"})).Draw(t, "leaves") {
				fields[leaf] = rapid.SampledFrom([]any{"x", "y", "z"}).Draw(t, "value")
				if last[leaf] == nil {
					last[leaf] = map[string]any{}
				}
				last[leaf][source] = fields[leaf]
			}
			merge(s, source, fields, time.Now(), nil, rank, plain)
			if m := merge(s, source, fields, time.Now(), nil, rank, plain); len(m.changed) > 0 || m.claimed {
				t.Fatalf("the same again changed %v", m.changed)
			}
		}
		for leaf, by := range last {
			for _, source := range sources {
				if v, spoke := by[source]; spoke {
					if !employee.Equal(s.Fields[leaf], v) {
						t.Fatalf("%s is %v, %s said %v", leaf, s.Fields[leaf], source, v)
					}
					break
				}
			}
		}
	})
}

func TestStatusOnADay(t *testing.T) {
	const today = "2026-06-15"
	for _, c := range []struct{ name, said, hired, ended, want string }{
		{"nothing known", "", "", "", ""},
		{"starts today", "pre_hire", today, "", "active"},
		{"starts tomorrow, said active", "active", "2026-06-16", "", "pre_hire"},
		{"last day is today", "active", "2020-01-01", today, "active"},
		{"last day was yesterday", "active", "2020-01-01", "2026-06-14", "terminated"},
		{"said terminated before the last day is over", "terminated", "2020-01-01", today, "active"},
		{"said terminated without a day", "terminated", "2020-01-01", "", "terminated"},
		{"an end before the hire is of an earlier spell", "active", "2026-06-01", "2025-12-31", "active"},
		{"withdrawn stays", "withdrawn", "2026-07-01", "", "withdrawn"},
		{"on leave", "leave", "2020-01-01", "", "leave"},
		{"pre-hire without a day", "pre_hire", "", "", "pre_hire"},
		{"only a day", "", "2020-01-01", "", "active"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := fresh()
			s.Said = c.said
			if c.hired != "" {
				s.Fields["employment.hire_date"] = c.hired
			}
			if c.ended != "" {
				s.Fields["employment.termination_date"] = c.ended
			}
			if got := status(s, today); got != c.want {
				t.Errorf("status = %q, want %q", got, c.want)
			}
		})
	}
}

func TestOrder(t *testing.T) {
	seq := func(v string) connector.Version { return connector.Version{Scale: connector.ScaleSequence, Value: v} }
	tm := func(v string) connector.Version { return connector.Version{Scale: connector.ScaleTime, Value: v} }
	for _, c := range []struct {
		name     string
		has, now connector.Version
		seen     []mark
		want     arrival
	}{
		{"first", connector.Version{}, seq("1"), nil, newer},
		{"later number", seq("9"), seq("10"), nil, newer},
		{"earlier number", seq("10"), seq("9"), nil, late},
		{"the same number", seq("5"), seq("5"), nil, again},
		{"leading zeros", seq("005"), seq("5"), nil, again},
		{"later time in another form", tm("2026-01-01T10:00:00Z"), tm("2026-01-01T10:00:00.5Z"), nil, newer},
		{"earlier time", tm("2026-01-01T10:00:00Z"), tm("2026-01-01T09:59:59Z"), nil, late},
		{"the same second may be another change", tm("2026-01-01T10:00:00Z"), tm("2026-01-01T10:00:00Z"), nil, newer},
		{"another scale does not compare", tm("2026-01-01T10:00:00Z"), seq("1"), nil, newer},
		{"no version, seen before", connector.Version{}, connector.Version{}, []mark{short("record-one-is-long")}, again},
		{"no version, not seen", connector.Version{}, connector.Version{}, []mark{short("other")}, newer},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := order(&statement{version: c.has, seen: c.seen}, c.now, "record-one-is-long"); got != c.want {
				t.Errorf("order = %d, want %d", got, c.want)
			}
		})
	}
}

func TestIdentify(t *testing.T) {
	ix := newIndex()
	for _, id := range []string{"e1", "e2"} {
		ix.person(id)
	}
	ix.statement("bamboohr", "t1").employee = "e1"
	ix.link("e1", "bamboohr", "t1")
	ix.reserve("email", "m1", "e1")
	ix.reserve("email", "m2", "e2")
	ix.reserve("number", "n1", "e1")
	ix.reserve("number", "n2", "e2")
	sure := rulebook{confidence: map[string]bool{matchEmail: true, matchNumber: true}}
	for _, c := range []struct {
		name, source, token, ours string
		keys                      []matchKey
		book                      rulebook
		waited                    bool
		want                      verdict
	}{
		{name: "by its link", source: "bamboohr", token: "t1", want: verdict{employee: "e1", rule: "link"}},
		{name: "by our id", source: "bamboohr", token: "t2", ours: "e2", want: verdict{employee: "e2", rule: "our_id"}},
		{name: "our id of somebody another key stands for", source: "bamboohr", token: "t2", ours: "e1", want: verdict{create: true, rule: "new"}},
		{name: "our id of nobody", source: "bamboohr", token: "t2", ours: "e9", want: verdict{create: true, rule: "new"}},
		{name: "by e-mail", source: "greenhouse", token: "g1", keys: []matchKey{{Kind: matchEmail, Token: "m2"}}, book: sure, want: verdict{employee: "e2", rule: "match"}},
		{name: "two people match", source: "greenhouse", token: "g1", keys: []matchKey{{Kind: matchEmail, Token: "m1"}, {Kind: matchNumber, Token: "n2"}}, book: sure, want: verdict{review: true, rule: "two_people_match"}},
		{name: "an unsure match", source: "greenhouse", token: "g1", keys: []matchKey{{Kind: matchNumber, Token: "n1"}}, book: rulebook{confidence: map[string]bool{matchNumber: false}}, want: verdict{review: true, rule: "unsure_match"}},
		{name: "a match the source does not use", source: "greenhouse", token: "g1", keys: []matchKey{{Kind: matchEmail, Token: "m1"}}, want: verdict{create: true, rule: "new"}},
		{name: "unknown at an account we write to", source: "bamboohr", token: "t3", book: rulebook{waits: true}, want: verdict{wait: true, rule: "link_wait"}},
		{name: "and after the wait", source: "bamboohr", token: "t3", book: rulebook{waits: true}, waited: true, want: verdict{create: true, rule: "new"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ix.identify(c.source, c.token, c.ours, c.keys, c.book, c.waited); got != c.want {
				t.Errorf("identify = %+v, want %+v", got, c.want)
			}
		})
	}
}

// A person is moved away and back in the system we once wrote the first value
// to: moving back is a change, not an echo of our write.
func TestAValueThatComesBackIsAChange(t *testing.T) {
	s, at, sent := fresh(), time.Now(), map[string]string{"positions[primary].department": "positions[primary].department=Engineering"}
	say := func(source, department string) []string {
		return merge(s, source, employee.Flat{"positions[primary].department": department}, at, sent, bambooFirst, plain).changed
	}
	say("greenhouse", "Engineering") // and our delivery wrote it to BambooHR
	for _, step := range []struct {
		says    string
		changes int
	}{{"Engineering", 0}, {"Engineering", 0}, {"Finance", 1}, {"Engineering", 1}, {"Engineering", 0}} {
		if got := say("bamboohr", step.says); len(got) != step.changes {
			t.Errorf("said %s: changed %v, want %d", step.says, got, step.changes)
		}
		if got := s.Fields["positions[primary].department"]; got != step.says {
			t.Errorf("said %s, the state has %v", step.says, got)
		}
	}
}
