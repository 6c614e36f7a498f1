package moodle

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

func texts(v any) []string {
	l, _ := v.([]string)
	return l
}

// TestMembershipsFollow: what is wanted is joined, what is no longer wanted is
// left, and what somebody else did stays.
func TestMembershipsFollow(t *testing.T) {
	s := newSchool(t, nil, map[string]string{"cohorts": "dept-payroll,dept-drift,choir,payroll"})
	d := delivery("active")
	d.Body["cohorts"], d.Body["courses"] = []any{"dept-payroll", "", "dept-payroll", nil}, []any{"88", "91"}
	r := must(t, s, d)
	id := r.Refs[refID]
	s.admin(t, fnJoin, form{{"members[0][cohorttype][type]", "idnumber"}, {"members[0][cohorttype][value]", "choir"}, {"members[0][usertype][type]", "id"}, {"members[0][usertype][value]", id}})
	d = after(d, r, "active")
	d.Body["cohorts"], d.Body["courses"] = "dept-drift", []any{"91", "17"}
	s.called()
	r = must(t, s, d)
	p := s.person(t, id)
	if got := texts(p["cohorts"]); !slices.Equal(got, []string{"choir", "dept-drift"}) {
		t.Errorf("cohorts %v", got)
	}
	if got := texts(p["courses"]); !slices.Equal(got, []string{"91", "17"}) {
		t.Errorf("courses %v", got)
	}
	if got := s.called(); !slices.Equal(got, []string{fnJoin, fnSearchCohorts, fnLeave, fnEnrol, fnUnenrol}) {
		t.Errorf("called %v", got)
	}
	if !slices.Equal(r.Sent, []string{"cohorts", "courses"}) {
		t.Errorf("sent %v", r.Sent)
	}
	// Who leaves keeps them, as evidence; whoever comes back gets what is wanted then.
	d = after(d, r, "terminated")
	r = must(t, s, d)
	if p := s.person(t, id); len(texts(p["cohorts"])) != 2 || len(texts(p["courses"])) != 2 || p["suspended"] != true {
		t.Errorf("the leaver is %v", p)
	}
	d = after(d, r, "active")
	d.Body["cohorts"], d.Body["courses"] = []any{}, []any{"17"}
	r = must(t, s, d)
	if p := s.person(t, id); !slices.Equal(texts(p["cohorts"]), []string{"choir"}) || !slices.Equal(texts(p["courses"]), []string{"17"}) {
		t.Errorf("who came back is %v", p)
	}
	// A list that is not said leaves everything as it is; null is an empty one.
	d = after(d, r, "active")
	r = must(t, s, d)
	if p := s.person(t, id); !slices.Equal(texts(p["courses"]), []string{"17"}) {
		t.Errorf("courses that were not said are %v", p["courses"])
	}
	d = after(d, r, "active")
	d.Body["courses"] = nil
	must(t, s, d)
	if p := s.person(t, id); len(texts(p["courses"])) != 0 {
		t.Errorf("courses that were cleared are %v", p["courses"])
	}
}

// TestEnrolmentsWaitForTheFirstDay: Moodle refuses those of a suspended account.
func TestEnrolmentsWaitForTheFirstDay(t *testing.T) {
	s := newSchool(t, nil, nil)
	d := delivery("pre_hire")
	d.Body["cohorts"], d.Body["courses"] = []any{"onboarding"}, []any{"88"}
	r := must(t, s, d)
	if p := s.person(t, r.Refs[refID]); len(texts(p["cohorts"])) != 1 || len(texts(p["courses"])) != 0 {
		t.Errorf("before the first day: %v", p)
	}
	next := after(d, r, "active")
	next.Body = d.Body
	must(t, s, next)
	if p := s.person(t, r.Refs[refID]); len(texts(p["courses"])) != 1 {
		t.Errorf("on the first day: %v", p)
	}
}

// TestOneBadGroupKeepsNoOtherFromComing, and it is tried again.
func TestOneBadGroupKeepsNoOtherFromComing(t *testing.T) {
	for body, want := range map[string]string{"cohorts": "cohort", "courses": "enrolment"} {
		s := newSchool(t, nil, map[string]string{"cohorts": "1,2,4,5", "courses": "1,2,4,5"})
		d := delivery("active")
		d.Body[body] = []any{"1", "2", "3", "4", "5"}
		saved := connector.Refs{}
		_, err := s.Apply(t.Context(), d, func(_ context.Context, refs connector.Refs) error {
			for k, v := range refs {
				saved[k] = v
			}
			return nil
		})
		if f := fault.Of(err); f == nil || f.Class != fault.Record || f.Reason != want || f.Path != body {
			t.Errorf("%s: error %v", body, err)
		}
		if saved[body] != "1\n2\n4\n5" || len(texts(s.person(t, saved[refID])[body])) != 4 {
			t.Errorf("%s: saved %q, in %v", body, saved[body], s.person(t, saved[refID])[body])
		}
	}
}

// TestAJoinWhoseAnswerWasLost is known to the next version, which does not want
// it any more: after a crash, what was saved in the middle is all there is.
func TestAJoinWhoseAnswerWasLost(t *testing.T) {
	for body, call := range map[string]string{"cohorts": fnJoin, "courses": fnEnrol} {
		s := newSchool(t, nil, map[string]string{"cohorts": "1,2", "courses": "1,2"})
		d := delivery("active")
		r := must(t, s, d)
		saved := r.Refs
		s.lose = call
		d = after(d, r, "active")
		d.Body[body] = []any{"1", "2"}
		_, err := s.Apply(t.Context(), d, func(_ context.Context, refs connector.Refs) error {
			saved = maps.Clone(refs)
			return nil
		})
		if fault.Of(err).Class != fault.Transient || len(texts(s.person(t, r.Refs[refID])[body])) != 2 {
			t.Fatalf("%s: error %v, in %v: the test is wrong", body, err, s.person(t, r.Refs[refID])[body])
		}
		s.lose = ""
		r.Refs = saved
		d = after(d, r, "active")
		d.Body[body] = []any{"1"}
		r = must(t, s, d)
		if got := texts(s.person(t, r.Refs[refID])[body]); !slices.Equal(got, []string{"1"}) || r.Refs[body] != "1" || r.Refs[refBegun+body] != "" {
			t.Errorf("%s: in %v, refs %v", body, got, r.Refs)
		}
	}
}

// TestCohortMadeAnew has another id than the one that is remembered.
func TestCohortMadeAnew(t *testing.T) {
	s := newSchool(t, nil, nil)
	d := delivery("active")
	d.Body["cohorts"] = []any{"a", "gone"}
	r := must(t, s, d)
	s.groups.remember("a", "77")
	d = after(d, r, "active")
	d.Body["cohorts"] = []any{}
	r = must(t, s, d)
	if got := texts(s.person(t, r.Refs[refID])["cohorts"]); len(got) != 0 || r.Refs[refCohorts] != "" {
		t.Errorf("cohorts %v, remembered %q", got, r.Refs[refCohorts])
	}
	// One that is nowhere has no members.
	r.Refs[refCohorts] = "never-was"
	d = after(d, r, "active")
	d.Body["cohorts"] = []any{}
	if r = must(t, s, d); r.Refs[refCohorts] != "" {
		t.Errorf("remembered %q", r.Refs[refCohorts])
	}
}

// TestMembershipsAreTheDifference for any two lists.
func TestMembershipsAreTheDifference(t *testing.T) {
	s := newSchool(t, map[string]any{"max_input_vars": 12}, map[string]string{"max_input_vars": "12"})
	r := must(t, s, delivery("active"))
	words := rapid.SliceOfN(rapid.SampledFrom(strings.Fields("a b c d e f g h")), 0, 8)
	rapid.Check(t, func(t *rapid.T) {
		d := delivery("active")
		d.Refs, d.Before = r.Refs, zofia()
		want := map[string][]string{}
		for _, name := range []string{"cohorts", "courses"} {
			d.Body[name] = []any{}
			for _, w := range words.Draw(t, name) {
				l, _ := d.Body[name].([]any)
				d.Body[name] = append(l, w)
				if !slices.Contains(want[name], w) {
					want[name] = append(want[name], w)
				}
			}
		}
		var err error
		if r, err = s.Apply(context.Background(), d, nil); err != nil {
			t.Fatal(err)
		}
		people, _ := s.vendor.Log().State()
		for _, name := range []string{"cohorts", "courses"} {
			got := slices.Sorted(slices.Values(texts(people[r.Refs[refID]][name])))
			if !slices.Equal(got, slices.Sorted(slices.Values(want[name]))) {
				t.Fatalf("%s %v, want %v", name, got, want[name])
			}
		}
	})
}
