package gusto

import (
	"context"
	"maps"
	"net/http"
	"strings"

	"github.com/muster-hr/muster/libs/employee"
)

// check finds what cannot be written before anything is: a refusal in the
// middle would leave half an employee behind. A leaver is not held up by it: his
// last pay has a deadline.
func (r *run) check(ctx context.Context) error {
	if gone(r.d.Status) {
		return nil
	}
	e := r.section("employee")
	if r.refs[refID] == "" {
		for _, name := range []string{"first_name", "last_name"} {
			if text(e, name) == "" {
				return required("employee." + name)
			}
		}
		if r.selfOnb && text(e, "email") == "" {
			return required("employee.email")
		}
	}
	if v := text(e, "ssn"); v != "" && len(digits(v)) != 9 {
		return wrong("invalid", "employee.ssn", "it is not nine digits")
	}
	if home := r.section("home_address"); !r.settled("home_address") && !empty(home) {
		for _, name := range []string{"street_1", "city", "state", "zip"} {
			if text(home, name) == "" {
				return required("home_address." + name)
			}
		}
	}
	if err := r.checkPay(); err != nil {
		return err
	}
	if err := r.lookupPlace(ctx); err != nil {
		return err
	}
	return r.lookupBenefits(ctx)
}

// person creates the employee, or changes what differs. Fields of the body go
// as they are, so that a company can map more of them.
func (r *run) person(ctx context.Context) error {
	want := maps.Clone(r.section("employee"))
	if v := text(want, "ssn"); v != "" {
		want["ssn"] = digits(v)
	}
	if r.refs[refID] == "" {
		return r.create(ctx, want)
	}
	if r.created || r.settled("employee") {
		return nil
	}
	diff := map[string]any{}
	for name, v := range want {
		if name == "ssn" {
			// It is never shown again: it goes when it is new to Gusto, or to us.
			before, _ := r.d.Before["employee"].(map[string]any)
			if v != nil && (!r.cur.HasSSN || digits(text(before, "ssn")) != v) {
				diff[name] = v
			}
			continue
		}
		if !same(r.cur.all[name], v) {
			diff[name] = v
		}
	}
	if len(diff) == 0 {
		return nil
	}
	diff["version"] = r.cur.Version
	var p person
	if err := r.do(ctx, call{method: http.MethodPut, template: "/v1/employees/{id}", id: r.refs[refID], json: diff}, &p); err != nil {
		return err
	}
	r.cur.Version, r.cur.all, r.cur.HasSSN = p.Version, p.all, p.HasSSN
	return r.done(ctx, paths("employee", diff)...)
}

func (r *run) create(ctx context.Context, want map[string]any) error {
	body := map[string]any{"self_onboarding": r.selfOnb}
	for name, v := range want {
		if v != nil {
			body[name] = v
		}
	}
	sent := paths("employee", want)
	if err := r.do(ctx, call{method: http.MethodPost, template: "/v1/companies/{id}/employees", id: r.company, json: body}, &r.cur); err != nil {
		return err
	}
	r.refs[refID], r.created = r.cur.UUID, true
	return r.done(ctx, sent...)
}

// home is the home address: a move is a further one with its day, a correction
// on the same day a change of the one that is there.
func (r *run) home(ctx context.Context) error {
	want := r.section("home_address")
	if r.settled("home_address") || empty(want) {
		return nil
	}
	return r.address(ctx, "home", want, func(a address) bool {
		for name, v := range want {
			if !same(a.all[name], v) {
				return false
			}
		}
		return true
	})
}

// work is the location of the company at which somebody works.
func (r *run) work(ctx context.Context) error {
	if r.place == "" || r.settled("work_address") {
		return nil
	}
	return r.address(ctx, "work", map[string]any{"location_uuid": r.place}, func(a address) bool { return a.Location == r.place })
}

func (r *run) address(ctx context.Context, kind string, want map[string]any, as func(address) bool) error {
	var list []address
	if !r.created {
		if err := r.get(ctx, "/v1/employees/{id}/"+kind+"_addresses", r.refs[refID], &list); err != nil {
			return err
		}
	}
	now, any := inForce(list)
	for _, a := range list {
		if as(a) && a.Effective >= now.Effective { // now, or from a day that is planned
			return nil
		}
	}
	body := maps.Clone(want)
	// Not before the one that holds: of somebody who has not started that one
	// begins with the hire, and would take over again on that day.
	body["effective_date"] = max(r.day(), now.Effective)
	k := call{method: http.MethodPost, template: "/v1/employees/{id}/" + kind + "_addresses", id: r.refs[refID], json: body}
	if !any {
		if day := text(r.section("job"), "hire_date"); day != "" {
			body["effective_date"] = day
		}
	}
	if any && now.Effective == body["effective_date"] {
		body["version"] = now.Version
		k = call{method: http.MethodPut, template: "/v1/" + kind + "_addresses/{id}", id: now.UUID, json: body}
	}
	if err := r.do(ctx, k, nil); err != nil {
		return err
	}
	return r.done(ctx, kind+"_address")
}

// same compares a value of Gusto's with ours; null and empty text are one.
func same(theirs, ours any) bool {
	blank := func(v any) bool { return v == nil || v == "" }
	return blank(theirs) && blank(ours) || employee.Equal(theirs, ours)
}

func empty(m map[string]any) bool {
	for _, v := range m {
		if v != nil {
			return false
		}
	}
	return true
}

func digits(s string) string {
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return c
		}
		return -1
	}, s)
}
