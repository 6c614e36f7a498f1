package fake

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/muster-hr/muster/libs/connector/fake"
)

var (
	units = []string{"Hour", "Week", "Month", "Year", "Paycheck"}
	flsa  = []string{"Exempt", "Salaried Nonexempt", "Nonexempt", "Owner", "Commission Only Exempt", "Commission Only Nonexempt"}
	money = regexp.MustCompile(`^\d{1,12}\.\d{2}$`)
)

func touchJob(j object) {
	j["version"] = Digest(object{"title": j["title"], "hire_date": j["hire_date"]})
}

func touchPay(c object) {
	c["version"] = Digest(object{"rate": c["rate"], "payment_unit": c["payment_unit"], "flsa_status": c["flsa_status"], "effective_date": c["effective_date"], "title": c["title"]})
}

// job is a job as the API shows it: rate and title of the pay in force.
func (v *Vendor) job(p *person, j object, allPay bool) object {
	out := maps.Clone(j)
	id, _ := j["uuid"].(string)
	shown := []any{}
	now := v.inForce(p.pay[id])
	for i, c := range p.pay[id] {
		if allPay || i == now {
			shown = append(shown, c)
		}
	}
	out["compensations"] = shown
	if now >= 0 {
		c := p.pay[id][now]
		out["current_compensation_uuid"], out["rate"], out["payment_unit"] = c["uuid"], c["rate"], c["payment_unit"]
		if c["title"] != nil {
			out["title"] = c["title"]
			touchJob(out)
		}
	}
	return out
}

// inForce is the index of the newest that has begun, else the first.
func (v *Vendor) inForce(list []object) int {
	at := min(0, len(list)-1)
	for i, c := range list {
		if day, _ := c["effective_date"].(string); day <= v.today() {
			at = i
		}
	}
	return at
}

func (v *Vendor) findJob(id string) (*person, object) {
	for _, p := range v.people {
		for _, j := range p.jobs {
			if j["uuid"] == id {
				return p, j
			}
		}
	}
	return nil, nil
}

func (v *Vendor) findPay(id string) (p *person, job string, c object) {
	for _, p := range v.people {
		for job, list := range p.pay {
			for _, c := range list {
				if c["uuid"] == id {
					return p, job, c
				}
			}
		}
	}
	return nil, "", nil
}

func (v *Vendor) listJobs(q *request) answer {
	out := []any{}
	for _, j := range q.person.jobs {
		out = append(out, v.job(q.person, j, strings.Contains(q.URL.Query().Get("include"), "all_compensations")))
	}
	return answer{status: http.StatusOK, body: out}
}

// createJob makes a first compensation too, without a rate.
func (v *Vendor) createJob(q *request) answer {
	p := q.person
	title, hired := q.text("title"), q.text("hire_date")
	switch {
	case title == "":
		return invalid(problem("invalid_attribute_value", "title", "Title is required"))
	case !isDay(hired):
		return invalid(problem("invalid_attribute_value", "hire_date", "Hire date is not a valid date"))
	case slices.ContainsFunc(p.jobs, func(j object) bool { return j["title"] == title }):
		return refuse(http.StatusUnprocessableEntity, "invalid_operation", "base", "Employee cannot have two jobs with the same title")
	case len(p.jobs) > 0 && v.job(p, p.jobs[0], false)["payment_unit"] != "Hour":
		return refuse(http.StatusUnprocessableEntity, "invalid_operation", "base", "Only hourly employees can have multiple jobs")
	}
	j := object{"uuid": v.uuid(), "employee_uuid": p.id(), "primary": len(p.jobs) == 0, "title": title, "hire_date": hired}
	touchJob(j)
	c := object{
		"uuid": v.uuid(), "job_uuid": j["uuid"], "employee_uuid": p.id(),
		"rate": "0.00", "payment_unit": "Hour", "flsa_status": "Nonexempt", "effective_date": hired,
	}
	touchPay(c)
	id, _ := j["uuid"].(string)
	p.jobs, p.pay[id] = append(p.jobs, j), []object{c}
	v.wrote(q, p, fake.Update, "employee.updated")
	v.events = append(v.events, event{"employee_job_compensation.created", "Compensation", c["uuid"].(string)}) //nolint:forcetypeassert // made above
	return answer{status: http.StatusCreated, body: v.job(p, j, false)}
}

func (v *Vendor) readJob(q *request) answer {
	p, j := v.findJob(q.PathValue("job"))
	if j == nil {
		return notFound()
	}
	return answer{status: http.StatusOK, body: v.job(p, j, strings.Contains(q.URL.Query().Get("include"), "all_compensations"))}
}

func (v *Vendor) updateJob(q *request) answer {
	p, j := v.findJob(q.PathValue("job"))
	if j == nil {
		return notFound()
	}
	if a, ok := versioned(q, v.job(p, j, false)); !ok {
		return a
	}
	if q.has("hire_date") && !isDay(q.text("hire_date")) {
		return invalid(problem("invalid_attribute_value", "hire_date", "Hire date is not a valid date"))
	}
	id, _ := j["uuid"].(string)
	if title := q.text("title"); title != "" {
		j["title"] = title
		for _, c := range p.pay[id] { // it holds from now on, whatever the pay said
			delete(c, "title")
			touchPay(c)
		}
	}
	if day := q.text("hire_date"); day != "" {
		j["hire_date"] = day
	}
	touchJob(j)
	v.wrote(q, p, fake.Update, "employee.updated")
	return answer{status: http.StatusOK, body: v.job(p, j, false)}
}

func (v *Vendor) listPay(q *request) answer {
	p, j := v.findJob(q.PathValue("job"))
	if j == nil {
		return notFound()
	}
	return answer{status: http.StatusOK, body: p.pay[q.PathValue("job")]}
}

func (v *Vendor) readPay(q *request) answer {
	if _, _, c := v.findPay(q.PathValue("pay")); c != nil {
		return answer{status: http.StatusOK, body: c}
	}
	return notFound()
}

func checkPay(c object) []any {
	text := func(name string) string { s, _ := c[name].(string); return s }
	var problems []any
	bad := func(name, message string) {
		problems = append(problems, problem("invalid_attribute_value", name, message))
	}
	if !money.MatchString(text("rate")) {
		bad("rate", "Rate is a text with two decimals")
	}
	if !slices.Contains(units, text("payment_unit")) {
		bad("payment_unit", "Payment unit is not one of "+strings.Join(units, ", "))
	}
	if !slices.Contains(flsa, text("flsa_status")) {
		bad("flsa_status", "FLSA status is not included in the list")
	}
	if text("flsa_status") == "Owner" && text("payment_unit") != "Paycheck" {
		bad("payment_unit", "Payment unit must be Paycheck for owners")
	}
	if !isDay(text("effective_date")) {
		bad("effective_date", "Effective date is not a valid date")
	}
	return problems
}

var payFields = []string{"rate", "payment_unit", "flsa_status", "effective_date", "title"}

func (v *Vendor) createPay(q *request) answer {
	p, j := v.findJob(q.PathValue("job"))
	if j == nil {
		return notFound()
	}
	if v.o.Settings["effective_dating"] == "off" {
		return refuse(http.StatusUnprocessableEntity, "invalid_operation", "base", "Jobs are limited to a single compensation.")
	}
	c := object{"uuid": v.uuid(), "job_uuid": j["uuid"], "employee_uuid": p.id()}
	for _, name := range payFields {
		if q.has(name) {
			c[name] = q.body[name]
		}
	}
	if problems := checkPay(c); len(problems) > 0 {
		return invalid(problems...)
	}
	list := p.pay[q.PathValue("job")]
	day, _ := c["effective_date"].(string)
	if first, _ := list[0]["effective_date"].(string); day < first {
		return invalid(problem("invalid_attribute_value", "effective_date", "Effective date is before the first compensation"))
	}
	if slices.ContainsFunc(list, func(x object) bool { return x["effective_date"] == day }) {
		return refuse(http.StatusUnprocessableEntity, "duplicate_operation", "effective_date", "A compensation with this effective date exists.")
	}
	touchPay(c)
	p.pay[q.PathValue("job")] = sorted(append(list, c))
	v.wrote(q, p, fake.Update, "employee.updated")
	v.events = append(v.events, event{"employee_job_compensation.created", "Compensation", c["uuid"].(string)}) //nolint:forcetypeassert // made above
	return answer{status: http.StatusCreated, body: c}
}

func sorted(list []object) []object {
	slices.SortFunc(list, func(a, b object) int {
		x, _ := a["effective_date"].(string)
		y, _ := b["effective_date"].(string)
		return strings.Compare(x, y)
	})
	return list
}

func processed() answer {
	return refuse(http.StatusUnprocessableEntity, "invalid_operation", "base", "Compensation has already been processed on payroll.")
}

func (v *Vendor) updatePay(q *request) answer {
	id := q.PathValue("pay")
	p, job, c := v.findPay(id)
	if c == nil {
		return notFound()
	}
	if a, ok := versioned(q, c); !ok {
		return a
	}
	if p.processed[id] {
		return processed()
	}
	next := maps.Clone(c)
	for _, name := range payFields {
		if q.has(name) {
			next[name] = q.body[name]
		}
	}
	if problems := checkPay(next); len(problems) > 0 {
		return invalid(problems...)
	}
	maps.Copy(c, next)
	c["adjust_for_minimum_wage"] = false
	touchPay(c)
	p.pay[job] = sorted(p.pay[job])
	v.wrote(q, p, fake.Update, "employee.updated")
	v.events = append(v.events, event{"employee_job_compensation.updated", "Compensation", id})
	return answer{status: http.StatusOK, body: c}
}

func (v *Vendor) deletePay(q *request) answer {
	id := q.PathValue("pay")
	p, job, c := v.findPay(id)
	switch {
	case c == nil:
		return notFound()
	case p.processed[id]:
		return processed()
	case len(p.pay[job]) == 1:
		return refuse(http.StatusUnprocessableEntity, "invalid_operation", "base", "The only compensation of a job cannot be deleted.")
	}
	p.pay[job] = slices.DeleteFunc(p.pay[job], func(x object) bool { return x["uuid"] == id })
	v.wrote(q, p, fake.Update, "employee.updated")
	v.events = append(v.events, event{"employee_job_compensation.destroyed", "Compensation", id})
	return answer{status: http.StatusNoContent}
}
