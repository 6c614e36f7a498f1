package gusto

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/muster-hr/muster/libs/employee"
)

// leave ends the employment on the last day of work. Somebody who never started
// is taken out, as long as Gusto allows that. Without a day in the body it is
// the day of the change, and an end that is there already stays.
func (r *run) leave(ctx context.Context) error {
	day, said := r.lastDay()
	if r.d.Status == employee.Withdrawn {
		if !r.cur.Onboarded {
			err := r.do(ctx, call{method: http.MethodDelete, template: "/v1/employees/{id}", id: r.refs[refID]}, nil)
			if err == nil || is(err, reasonMissing) {
				clear(r.refs)
				return r.done(ctx, "employee")
			}
			if !is(err, reasonRefused) {
				return err
			}
		}
		if !said { // ends on the day on which it would have begun
			day = text(r.section("job"), "hire_date")
			said = day != ""
		}
	}
	return r.end(ctx, cmp.Or(day, r.day()), said)
}

// notice ends the employment of somebody who is still at work and whose last
// day is known: the last pay is prepared from it.
func (r *run) notice(ctx context.Context) error {
	day, said := r.lastDay()
	if !said {
		return nil
	}
	return r.end(ctx, day, true)
}

func (r *run) lastDay() (day string, said bool) {
	day = text(r.section("termination"), "effective_date")
	return day, day != ""
}

// end writes the termination, or moves it.
func (r *run) end(ctx context.Context, day string, said bool) error {
	t, is := r.cur.ended(r.refs[refJob])
	if is && (!said || t.Effective == day) {
		r.refs[refEnded] = t.Effective
		return nil
	}
	offCycle, err := r.offCycleHere(ctx)
	if err != nil {
		return err
	}
	body := map[string]any{"effective_date": day, "run_termination_payroll": offCycle}
	k := call{method: http.MethodPost, template: "/v1/employees/{id}/terminations", id: r.refs[refID], json: body}
	if is {
		body["version"] = t.Version
		k.method, k.template = http.MethodPut, "/v1/terminations/{id}" // by the employee's UUID
	}
	if err := r.do(ctx, k, nil); err != nil {
		return err
	}
	r.refs[refEnded] = day
	return r.done(ctx, "termination.effective_date")
}

// offCycleHere tells whether the state in which somebody works asks for the
// last pay at once.
func (r *run) offCycleHere(ctx context.Context) (bool, error) {
	if len(r.offCycle) == 0 || slices.Contains(r.offCycle, "*") {
		return len(r.offCycle) > 0, nil
	}
	at, ok, err := r.workplace(ctx)
	return ok && slices.Contains(r.offCycle, at.State), err
}

func (r *run) workplace(ctx context.Context) (address, bool, error) {
	var list []address
	if err := r.get(ctx, "/v1/employees/{id}/work_addresses", r.refs[refID], &list); err != nil {
		return address{}, false, err
	}
	a, ok := inForce(list)
	return a, ok, nil
}

// again lets somebody in who had left: by a rehire if the person was hired
// after the end; else the end was taken back, which Gusto allows while it lies
// ahead, and after that a rehire on the next day leaves no gap. An end that
// somebody planned in Gusto, and that we neither wrote nor know, stays.
func (r *run) again(ctx context.Context) error {
	if r.created || r.refs[refID] == "" {
		return nil
	}
	t, is := r.cur.ended(r.refs[refJob])
	if !is {
		delete(r.refs, refEnded)
		return nil
	}
	hired := text(r.section("job"), "hire_date")
	if hired > t.Effective {
		return r.rehire(ctx, t, hired)
	}
	if _, said := r.lastDay(); said || r.refs[refEnded] != t.Effective {
		return nil
	}
	if !t.Cancelable {
		day, err := time.Parse(time.DateOnly, t.Effective)
		if err != nil {
			return wrong("answer", "termination.effective_date", "the end in Gusto has no day")
		}
		return r.rehire(ctx, t, day.AddDate(0, 0, 1).Format(time.DateOnly))
	}
	if err := r.do(ctx, call{method: http.MethodDelete, template: "/v1/employees/{id}/terminations", id: r.refs[refID]}, nil); err != nil {
		return err
	}
	return r.back(ctx)
}

// rehire starts the employment again, unless that is planned already.
func (r *run) rehire(ctx context.Context, t termination, day string) error {
	var there struct {
		Effective string `json:"effective_date"`
	}
	err := r.get(ctx, "/v1/employees/{id}/rehire", r.refs[refID], &there)
	switch {
	case err == nil && there.Effective > t.Effective:
		delete(r.refs, refEnded)
		return nil
	case err != nil && !is(err, reasonMissing):
		return err
	}
	place := r.place
	if place == "" {
		at, ok, err := r.workplace(ctx)
		if err != nil {
			return err
		}
		if place = at.Location; !ok || place == "" {
			return required("work_address.location")
		}
	}
	body := map[string]any{"effective_date": day, "file_new_hire_report": r.fileReport, "work_location_uuid": place}
	for name, v := range r.section("rehire") {
		if v != nil {
			body[name] = v
		}
	}
	if err := r.do(ctx, call{method: http.MethodPost, template: "/v1/employees/{id}/rehire", id: r.refs[refID], json: body}, nil); err != nil {
		return err
	}
	return r.back(ctx)
}

// back reads what a rehire changed beside itself.
func (r *run) back(ctx context.Context) error {
	delete(r.refs, refEnded)
	if err := r.done(ctx, "job.hire_date"); err != nil {
		return err
	}
	var err error
	r.cur, err = r.employee(ctx, r.refs[refID])
	return err
}
