package gusto

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// checkPay finds what a job or its pay lacks before anything is written.
func (r *run) checkPay() error {
	work, pay := r.section("job"), r.section("compensation")
	if _, has := r.cur.job(r.refs[refJob]); !has && (work != nil || text(pay, "rate") != "") {
		for _, name := range []string{"title", "hire_date"} {
			if text(work, name) == "" {
				return required("job." + name)
			}
		}
	}
	if text(pay, "rate") == "" || r.settled("compensation") {
		return nil
	}
	if currency := text(pay, "currency"); currency != "" && currency != "USD" {
		return wrong("currency", "compensation.currency", "Gusto pays in US dollars only")
	}
	if text(pay, "payment_unit") == "" {
		return required("compensation.payment_unit")
	}
	return nil
}

// position brings the job and its pay. A title that changes together with the
// pay goes with it, and holds from the same day.
func (r *run) position(ctx context.Context) error {
	want := r.section("job")
	if r.settled("job") && r.settled("compensation") {
		return nil
	}
	j, has := r.cur.job(r.refs[refJob])
	if !has {
		if want == nil {
			return nil
		}
		body := map[string]any{"title": want["title"], "hire_date": want["hire_date"]}
		if err := r.do(ctx, call{method: http.MethodPost, template: "/v1/employees/{id}/jobs", id: r.refs[refID], json: body}, &j); err != nil {
			return err
		}
		r.cur.Jobs = append(r.cur.Jobs, j)
		r.refs[refJob] = j.UUID
		if err := r.done(ctx, paths("job", body)...); err != nil {
			return err
		}
	}
	r.refs[refJob] = j.UUID
	step := r.raise(j)
	if step.method != "" {
		if title := text(want, "title"); step.method == http.MethodPost && title != "" && title != j.Title {
			step.body["title"] = title
		}
		if err := r.pay(ctx, step); err != nil {
			return err
		}
	}
	return r.retitle(ctx, j, step)
}

// retitle changes title and hire date, where they have not gone already.
func (r *run) retitle(ctx context.Context, j job, step payStep) error {
	diff := map[string]any{}
	for _, name := range []string{"title", "hire_date"} {
		v := text(r.section("job"), name)
		switch {
		case v == "" || r.settled("job"):
		case name == "title" && (v == j.Title || step.body["title"] != nil || titled(j, v)):
		case name == "hire_date" && (v == j.HireDate || r.since(v, j)):
		default:
			diff[name] = v
		}
	}
	if len(diff) == 0 {
		return nil
	}
	diff["version"] = j.Version
	if err := r.do(ctx, call{method: http.MethodPut, template: "/v1/jobs/{id}", id: j.UUID, json: diff}, nil); err != nil {
		return err
	}
	return r.done(ctx, paths("job", diff)...)
}

// titled tells whether a title is planned for the job already.
func titled(j job, title string) bool {
	return slices.ContainsFunc(j.Compensations, func(c compensation) bool { return c.Title == title && c.Effective > j.HireDate })
}

// since tells that the job's hire date is one of a rehire that we had to make
// because a termination could not be taken back: the date of the person stays.
func (r *run) since(hired string, j job) bool {
	return hired < j.HireDate && slices.ContainsFunc(r.cur.Terminations, func(t termination) bool {
		return t.Effective >= hired && t.Effective < j.HireDate
	})
}

// payStep is one call about pay; no method: nothing to do.
type payStep struct {
	method, template, id string
	body                 map[string]any
}

// raise says what brings the job's pay to what is wanted.
//
//	the first compensation has no rate yet     fill it in, from its own day
//	one of that day is there                   correct it
//	that of the day before says the same       nothing
//	else                                       a further one with its effective date
//
// The one that we wrote last is taken out if another stands for it, see
// [run.replaced].
func (r *run) raise(j job) payStep {
	want := r.section("compensation")
	if text(want, "rate") == "" || r.settled("compensation") {
		return payStep{}
	}
	body := maps.Clone(want)
	delete(body, "currency")
	delete(body, "effective_date")
	maps.DeleteFunc(body, func(_ string, v any) bool { return v == nil })
	as := func(c compensation) bool {
		for name, theirs := range map[string]string{"payment_unit": c.Unit, "flsa_status": c.FLSA} {
			if v := text(body, name); v != "" && v != theirs {
				return false
			}
		}
		return equalAmount(c.Rate, text(body, "rate"))
	}
	all := slices.SortedFunc(slices.Values(j.Compensations), func(a, b compensation) int { return strings.Compare(a.Effective, b.Effective) })
	if len(all) == 0 {
		return r.further(j, body, max(r.from(), j.HireDate))
	}
	first := all[0]
	if len(all) == 1 && equalAmount(first.Rate, "0") {
		return correct(first, body)
	}
	day := text(want, "effective_date")
	if day == "" {
		// Nobody says from when: what is there, or planned, and says the same will do.
		now := inForceOn(all, r.today())
		if slices.ContainsFunc(all[now:], as) {
			return payStep{}
		}
		day = r.day()
	}
	day = max(day, first.Effective)
	if old, ok := r.replaced(all, day, as); ok {
		return payStep{method: http.MethodDelete, template: "/v1/compensations/{id}", id: old.UUID}
	}
	then := all[inForceOn(all, day)]
	switch {
	case as(then):
		return payStep{}
	case then.Effective == day:
		return correct(then, body)
	}
	return r.further(j, body, day)
}

func (r *run) from() string {
	if day := text(r.section("compensation"), "effective_date"); day != "" {
		return day
	}
	return r.day()
}

func (r *run) further(j job, body map[string]any, day string) payStep {
	body["effective_date"] = day
	return payStep{http.MethodPost, "/v1/jobs/{id}/compensations", j.UUID, body}
}

func correct(c compensation, body map[string]any) payStep {
	body["version"], body["effective_date"] = c.Version, c.Effective
	return payStep{http.MethodPut, "/v1/compensations/{id}", c.UUID, body}
}

// inForceOn is the index of the newest that began by that day, else the first.
func inForceOn(all []compensation, day string) int {
	i := 0
	for n, c := range all {
		if c.Effective <= day {
			i = n
		}
	}
	return i
}

// replaced is the raise that we wrote last, if the wanted pay stands for it and
// it would still be paid: it was planned and comes on another day, or it was
// taken back for a pay of an earlier day. Gusto deletes none that went out,
// which is then for a person.
func (r *run) replaced(all []compensation, day string, as func(compensation) bool) (compensation, bool) {
	before, _ := r.d.Before["compensation"].(map[string]any)
	was, planned := text(before, "effective_date"), text(before, "effective_date") > r.today()
	i := slices.IndexFunc(all, func(c compensation) bool { return c.Effective == was && equalAmount(c.Rate, text(before, "rate")) })
	switch {
	case i <= 0:
		return compensation{}, false
	case was > day && (planned || !as(all[i])), was < day && planned && as(all[i]):
		return all[i], true
	}
	return compensation{}, false
}

// pay makes the call of a step. Taking out a planned raise may leave another
// step to do.
func (r *run) pay(ctx context.Context, step payStep) error {
	var c compensation
	k := call{method: step.method, template: step.template, id: step.id}
	if step.body != nil {
		k.json = step.body
	}
	if err := r.do(ctx, k, &c); err != nil {
		return err
	}
	if step.method == http.MethodDelete {
		if err := r.done(ctx, "compensation.effective_date"); err != nil {
			return err
		}
		fresh, err := r.employee(ctx, r.refs[refID])
		if err != nil {
			return err
		}
		r.cur = fresh
		if j, ok := r.cur.job(r.refs[refJob]); ok {
			if next := r.raise(j); next.method != "" && next.method != http.MethodDelete {
				return r.pay(ctx, next)
			}
		}
		return nil
	}
	r.refs[refPay] = c.UUID
	return r.done(ctx, paths("compensation", step.body)...)
}
