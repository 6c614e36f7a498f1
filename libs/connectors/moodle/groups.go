package moodle

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

// groups keeps memberships of cohorts and enrolments. What somebody else put
// the person into is left alone: only what stands in our refs is taken back.
type groups struct {
	api  *api
	role int
	most int // members in a call

	mu      sync.Mutex
	cohorts map[string]string // id by id number, as far as it was asked for
}

// bring goes step by step, and saves what was reached after each, and before
// one that adds what it will add: of an answer that is lost the next version
// knows what to take back. One cohort or course that Moodle refuses does not
// keep the others from being done.
//
// Enrolments need an open account: Moodle refuses those of a suspended one, so
// they come with the first day, and stay as evidence when somebody leaves.
func (g *groups) bring(ctx context.Context, d connector.Delivery, p connector.Progress, refs connector.Refs) (sent []string, err error) {
	for _, kind := range []struct {
		body, ref string
		add, drop func(context.Context, string, []string) []error
		skip      bool
	}{
		{bodyCohorts, refCohorts, g.join, g.leave, false},
		{bodyCourses, refCourses, g.enrol, g.unenrol, refs[refSuspended] == "1"},
	} {
		if _, said := d.Body[kind.body]; !said || kind.skip {
			continue
		}
		want, listErr := list(d.Body, kind.body)
		if listErr != nil {
			return nil, listErr
		}
		have, begun := lines(refs[kind.ref]), lines(refs[refBegun+kind.ref])
		add, drop := without(want, have), without(slices.Concat(have, without(begun, have)), want)
		if len(add)+len(drop) == 0 {
			continue
		}
		if fresh := without(add, begun); len(fresh) > 0 {
			begun = append(begun, fresh...)
			note(refs, refBegun+kind.ref, begun)
			if err := p(ctx, refs); err != nil {
				return nil, err
			}
		}
		first := error(nil)
		for _, step := range []struct {
			words []string
			do    func(context.Context, string, []string) []error
			done  func(word string)
		}{
			{add, kind.add, func(w string) { have = append(have, w) }},
			{drop, kind.drop, func(w string) { have = without(have, []string{w}) }},
		} {
			for chunk := range slices.Chunk(step.words, g.most) {
				for i, err := range step.do(ctx, refs[refID], chunk) {
					if err == nil {
						step.done(chunk[i])
					} else if first == nil {
						first = err
					}
					if err == nil || fault.Of(err).Class == fault.Record {
						begun = without(begun, chunk[i:i+1])
					}
				}
			}
		}
		note(refs, kind.ref, have)
		note(refs, refBegun+kind.ref, begun)
		if err := p(ctx, refs); err != nil {
			return nil, err
		}
		if first != nil {
			return nil, first
		}
		sent = append(sent, kind.body)
	}
	return sent, nil
}

func lines(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}

// note puts words into refs, one per line; none leaves no trace.
func note(refs connector.Refs, name string, words []string) {
	if refs[name] = strings.Join(words, "\n"); len(words) == 0 {
		delete(refs, name)
	}
}

func without(words, those []string) []string {
	var out []string
	for _, w := range words {
		if !slices.Contains(those, w) {
			out = append(out, w)
		}
	}
	return out
}

// warningMember is "already a member": done.
const warningMember = "3"

// join adds to cohorts by their id numbers. A warning does not name its member,
// so with any but "already a member" each goes again alone.
func (g *groups) join(ctx context.Context, id string, cohorts []string) []error {
	return halve(ctx, cohorts, func(ctx context.Context, some []string) ([]error, error) {
		var args form
		for i, c := range some {
			at := key("members", i)
			args = append(args,
				pair{at + "[cohorttype][type]", "idnumber"}, pair{at + "[cohorttype][value]", c},
				pair{at + "[usertype][type]", "id"}, pair{at + "[usertype][value]", id})
		}
		var answer warned
		if err := g.api.call(ctx, fnJoin, args, &answer); err != nil {
			return nil, err
		}
		for _, w := range answer.Warnings {
			if w.Code != warningMember {
				return nil, refused(bodyCohorts, "cohort", "Moodle has no such cohort, or not this user")
			}
		}
		return make([]error, len(some)), nil
	})
}

func refused(path, reason, text string) error {
	f := fault.New(fault.Record, reason, "%s", text)
	f.Path = path
	return f
}

// leave takes out of cohorts. That goes by id only, which is asked for once. A
// cohort that is no longer there has no members.
func (g *groups) leave(ctx context.Context, id string, cohorts []string) []error {
	errs := make([]error, len(cohorts))
	for i, c := range cohorts {
		errs[i] = g.leaveOne(ctx, id, c)
		if is(errs[i], reasonGroup) { // made anew since we asked for its id, perhaps
			g.remember(c, "")
			errs[i] = g.leaveOne(ctx, id, c)
		}
		if is(errs[i], reasonGroup) {
			errs[i] = nil
		}
	}
	return errs
}

func (g *groups) leaveOne(ctx context.Context, id, idnumber string) error {
	cohort, err := g.cohort(ctx, idnumber)
	if err != nil || cohort == "" {
		return err
	}
	return g.api.call(ctx, fnLeave, form{{"members[0][cohortid]", cohort}, {"members[0][userid]", id}}, nil)
}

// cohort is the id of a cohort; "" if there is none. The search is for parts of
// name, id number and description, so only an equal id number counts.
func (g *groups) cohort(ctx context.Context, idnumber string) (string, error) {
	g.mu.Lock()
	id := g.cohorts[idnumber]
	g.mu.Unlock()
	if id != "" {
		return id, nil
	}
	var answer struct {
		Cohorts []user `json:"cohorts"`
	}
	err := g.api.call(ctx, fnSearchCohorts, form{
		{"query", idnumber}, {"context[contextlevel]", "system"}, {"context[instanceid]", "0"}, {"includes", "all"}, {"limitnum", "0"},
	}, &answer)
	if err != nil {
		return "", err
	}
	for _, c := range answer.Cohorts {
		if c.text("idnumber") == idnumber {
			id = c.id()
		}
	}
	g.remember(idnumber, id)
	return id, nil
}

func (g *groups) remember(idnumber, id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cohorts == nil {
		g.cohorts = map[string]string{}
	}
	g.cohorts[idnumber] = id
}

// enrol is all or nothing at Moodle, and a repeat updates.
func (g *groups) enrol(ctx context.Context, id string, courses []string) []error {
	return g.enrolment(ctx, fnEnrol, courses, func(course string) form {
		return form{{"roleid", strconv.Itoa(g.role)}, {"userid", id}, {"courseid", course}}
	})
}

func (g *groups) unenrol(ctx context.Context, id string, courses []string) []error {
	return g.enrolment(ctx, fnUnenrol, courses, func(course string) form {
		return form{{"userid", id}, {"courseid", course}}
	})
}

func (g *groups) enrolment(ctx context.Context, function string, courses []string, one func(course string) form) []error {
	return halve(ctx, courses, func(ctx context.Context, some []string) ([]error, error) {
		var args form
		for i, c := range some {
			args = append(args, one(c).below("enrolments", i)...)
		}
		return make([]error, len(some)), g.api.call(ctx, function, args, nil)
	})
}
