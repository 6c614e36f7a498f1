package fake

import (
	"maps"
	"net/http"

	"github.com/muster-hr/muster/libs/connector/fake"
)

// current is the termination that holds, or will; nil after a rehire.
func (v *Vendor) current(p *person) object {
	if len(p.terminations) == 0 {
		return nil
	}
	t := p.terminations[len(p.terminations)-1]
	day, _ := t["effective_date"].(string)
	if back, _ := p.rehires["effective_date"].(string); back > day {
		return nil
	}
	return t
}

// terminated tells whether the last day of work has passed.
func (v *Vendor) terminated(p *person) bool {
	t := v.current(p)
	if t == nil {
		if back, _ := p.rehires["effective_date"].(string); back > v.today() && len(p.terminations) > 0 {
			t = p.terminations[len(p.terminations)-1] // the rehire is still ahead
		}
	}
	day, _ := t["effective_date"].(string)
	return t != nil && day < v.today()
}

// termination as the API shows it.
func (v *Vendor) termination(t object) object {
	out := maps.Clone(t)
	day, _ := t["effective_date"].(string)
	out["active"] = day < v.today()
	out["cancelable"] = t["run_termination_payroll"] != true && day > v.today()
	return out
}

func touchTermination(t object) {
	t["version"] = Digest(object{"effective_date": t["effective_date"], "run_termination_payroll": t["run_termination_payroll"]})
}

func (v *Vendor) listTerminations(q *request) answer {
	out := []any{}
	for _, t := range q.person.terminations {
		out = append(out, v.termination(t))
	}
	return answer{status: http.StatusOK, body: out}
}

func (v *Vendor) terminate(q *request) answer {
	p := q.person
	switch {
	case !isDay(q.text("effective_date")):
		return invalid(problem("missing_parameter", "effective_date", "Effective date is required"))
	case v.current(p) != nil:
		return refuse(http.StatusUnprocessableEntity, "invalid_operation", "base", "Employee has a termination already.")
	}
	t := object{
		"uuid": v.uuid(), "employee_uuid": p.id(), "effective_date": q.text("effective_date"),
		"run_termination_payroll": q.body["run_termination_payroll"] == true,
	}
	touchTermination(t)
	p.terminations = append(p.terminations, t)
	v.wrote(q, p, fake.Disable, "employee.terminated")
	return answer{status: http.StatusCreated, body: v.termination(t)}
}

func (v *Vendor) moveTermination(q *request) answer {
	t := v.current(q.person)
	if t == nil {
		return notFound()
	}
	if a, ok := versioned(q, t); !ok {
		return a
	}
	if q.has("effective_date") {
		if !isDay(q.text("effective_date")) {
			return invalid(problem("invalid_attribute_value", "effective_date", "Effective date is not a valid date"))
		}
		t["effective_date"] = q.text("effective_date")
	}
	if q.has("run_termination_payroll") {
		t["run_termination_payroll"] = q.body["run_termination_payroll"]
	}
	touchTermination(t)
	v.wrote(q, q.person, fake.Update, "employee.updated")
	return answer{status: http.StatusOK, body: v.termination(t)}
}

func (v *Vendor) withdrawTermination(q *request) answer {
	p := q.person
	t := v.current(p)
	switch {
	case t == nil:
		return notFound()
	case v.termination(t)["cancelable"] != true:
		return refuse(http.StatusUnprocessableEntity, "invalid_operation", "base", "This termination cannot be cancelled.")
	}
	p.terminations = p.terminations[:len(p.terminations)-1]
	v.wrote(q, p, fake.Enable, "employee.updated")
	return answer{status: http.StatusNoContent}
}

func (v *Vendor) readRehire(q *request) answer {
	if q.person.rehires == nil {
		return notFound()
	}
	return answer{status: http.StatusOK, body: q.person.rehires}
}

// rehire starts the job again: its hire date is that of the rehire.
func (v *Vendor) rehire(q *request) answer {
	p, day := q.person, q.text("effective_date")
	t := v.current(p)
	last, _ := t["effective_date"].(string)
	switch {
	case !isDay(day):
		return invalid(problem("missing_parameter", "effective_date", "Effective date is required"))
	case !q.has("file_new_hire_report"):
		return invalid(problem("missing_parameter", "file_new_hire_report", "File new hire report is required"))
	case v.place(q.text("work_location_uuid")) == nil:
		return invalid(problem("invalid_attribute_value", "work_location_uuid", "Work location is required"))
	case t == nil || day <= last:
		return refuse(http.StatusUnprocessableEntity, "invalid_operation", "base", "Only terminated employees can be rehired, after their last day.")
	}
	p.rehires = object{"effective_date": day, "file_new_hire_report": q.body["file_new_hire_report"], "work_location_uuid": q.text("work_location_uuid"), "employment_status": q.body["employment_status"]}
	p.rehires["version"] = Digest(p.rehires)
	for _, j := range p.jobs {
		j["hire_date"] = day
		touchJob(j)
	}
	v.wrote(q, p, fake.Enable, "employee.rehired")
	return answer{status: http.StatusCreated, body: p.rehires}
}

func (v *Vendor) withdrawRehire(q *request) answer {
	p := q.person
	day, _ := p.rehires["effective_date"].(string)
	switch {
	case p.rehires == nil:
		return notFound()
	case day <= v.today():
		return refuse(http.StatusUnprocessableEntity, "invalid_operation", "base", "A rehire cannot be deleted once it is active.")
	}
	p.rehires = nil
	v.wrote(q, p, fake.Disable, "employee.updated")
	return answer{status: http.StatusNoContent}
}
