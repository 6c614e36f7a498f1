package fake

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/connector/fake"
)

// person is one employee with all that hangs on him.
type person struct {
	fields       object
	onboarded    bool
	made         time.Time
	home, work   []object
	jobs         []object
	pay          map[string][]object // by job
	processed    map[string]bool     // compensations that were on a payroll
	terminations []object
	rehires      object
	federal      object
	answers      map[string]map[string]any // by state and question
	benefits     []object
}

// editable are the fields that a client may write; others are passed over
// without a word.
var editable = []string{"first_name", "middle_initial", "last_name", "preferred_first_name", "date_of_birth", "email", "work_email", "ssn"}

func (p *person) id() string { s, _ := p.fields["uuid"].(string); return s }

func (p *person) text(name string) string { s, _ := p.fields[name].(string); return s }

func (p *person) touch() {
	of := object{}
	for _, name := range editable {
		of[name] = p.fields[name]
	}
	p.fields["version"] = Digest(of)
}

func (v *Vendor) person(id string) *person {
	if i := slices.IndexFunc(v.people, func(p *person) bool { return p.id() == id }); i >= 0 {
		return v.people[i]
	}
	return nil
}

// json is an employee as the API shows him: the SSN never, planned pay only
// when asked for.
func (v *Vendor) json(p *person, allPay bool) object {
	out := maps.Clone(p.fields)
	delete(out, "ssn")
	out["has_ssn"] = p.text("ssn") != ""
	out["onboarded"] = p.onboarded
	out["onboarding_status"] = map[bool]string{true: "onboarding_completed", false: "admin_onboarding_incomplete"}[p.onboarded]
	out["terminated"] = v.terminated(p)
	terminations := []any{}
	for _, t := range p.terminations {
		terminations = append(terminations, v.termination(t))
	}
	out["terminations"] = terminations
	jobs := []any{}
	for _, j := range p.jobs {
		jobs = append(jobs, v.job(p, j, allPay))
	}
	out["jobs"] = jobs
	return out
}

// view is what the sandbox shows: one person on one page.
func (v *Vendor) view(p *person) object {
	out := v.json(p, true)
	delete(out, "jobs")
	delete(out, "terminations")
	if len(p.jobs) > 0 {
		j := v.job(p, p.jobs[0], true)
		for _, name := range []string{"title", "hire_date", "rate", "payment_unit", "compensations"} {
			out[name] = j[name]
		}
	}
	if t := v.current(p); t != nil {
		out["last_day"] = t["effective_date"]
	}
	if len(p.home) > 0 {
		out["home_address"] = p.home[len(p.home)-1]
	}
	if len(p.work) > 0 {
		out["work_address"] = p.work[len(p.work)-1]
	}
	if p.federal != nil {
		out["federal_tax"] = p.federal
	}
	if len(p.answers) > 0 {
		out["state_taxes"] = p.answers
	}
	if len(p.benefits) > 0 {
		out["benefits"] = slices.Clone(p.benefits)
	}
	return deepCopy(out)
}

func deepCopy(o object) object {
	out := make(object, len(o))
	for k, x := range o {
		out[k] = copied(x)
	}
	return out
}

func copied(x any) any {
	switch x := x.(type) {
	case object:
		return deepCopy(x)
	case []any:
		out := make([]any, len(x))
		for i := range x {
			out[i] = copied(x[i])
		}
		return out
	case []object:
		out := make([]any, len(x))
		for i := range x {
			out[i] = deepCopy(x[i])
		}
		return out
	case map[string]map[string]any:
		out := object{}
		for k := range x {
			out[k] = deepCopy(x[k])
		}
		return out
	}
	return x
}

// list searches names only, and tells pages by headers.
func (v *Vendor) list(q *request) answer {
	query := q.URL.Query()
	term := strings.ToLower(query.Get("search_term"))
	all := []any{}
	for _, p := range v.people {
		names := strings.ToLower(p.text("first_name") + " " + p.text("preferred_first_name") + " " + p.text("last_name"))
		if term != "" && (!strings.Contains(names, term) || v.o.Time().Sub(p.made) < v.stale) {
			continue
		}
		if t := query.Get("terminated"); t != "" && t != strconv.FormatBool(v.terminated(p)) {
			continue
		}
		all = append(all, v.json(p, query.Get("include") == "all_compensations"))
	}
	page, err := strconv.Atoi(query.Get("page"))
	if err != nil || page < 1 {
		return answer{status: http.StatusOK, body: all}
	}
	per, err := strconv.Atoi(query.Get("per"))
	if err != nil || per < 1 || per > 100 {
		per = 25
	}
	from, to := min((page-1)*per, len(all)), min(page*per, len(all))
	return answer{http.StatusOK, all[from:to], http.Header{
		"X-Page": {strconv.Itoa(page)}, "X-Per-Page": {strconv.Itoa(per)},
		"X-Total-Count": {strconv.Itoa(len(all))}, "X-Total-Pages": {strconv.Itoa((len(all) + per - 1) / per)},
	}}
}

var (
	ssnForm  = regexp.MustCompile(`^\d{9}$`)
	mailForm = regexp.MustCompile(`^[^@\s]+@[^@\s]+\.[^@\s]+$`)
)

// set writes fields if they are valid together.
func (v *Vendor) set(p *person, in object) []any {
	next := maps.Clone(p.fields)
	for _, name := range editable {
		if x, ok := in[name]; ok {
			next[name] = x
		}
	}
	text := func(name string) string { s, _ := next[name].(string); return s }
	var problems []any
	for name, label := range map[string]string{"first_name": "First name", "last_name": "Last name"} {
		if strings.TrimSpace(text(name)) == "" {
			problems = append(problems, problem("invalid_attribute_value", name, label+" is required"))
		}
	}
	slices.SortFunc(problems, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	if s := text("date_of_birth"); s != "" && !isDay(s) {
		problems = append(problems, problem("invalid_attribute_value", "date_of_birth", "Date of birth is not a valid date"))
	}
	if s := text("ssn"); s != "" && !ssnForm.MatchString(s) {
		problems = append(problems, problem("invalid_attribute_value", "ssn", "SSN must be nine digits"))
	}
	if s := text("middle_initial"); len([]rune(s)) > 1 {
		problems = append(problems, problem("invalid_attribute_value", "middle_initial", "Middle initial is one letter"))
	}
	for _, name := range []string{"email", "work_email"} {
		if s := text(name); s != "" && !mailForm.MatchString(s) {
			problems = append(problems, problem("invalid_attribute_value", name, s+" is not an e-mail address"))
		}
	}
	if len(problems) == 0 {
		p.fields = next
		p.touch()
	}
	return problems
}

func (v *Vendor) create(q *request) answer {
	p := &person{
		fields: object{"company_uuid": q.PathValue("company"), "middle_initial": nil, "preferred_first_name": nil, "email": nil, "work_email": nil, "date_of_birth": nil},
		made:   v.o.Time(), pay: map[string][]object{}, processed: map[string]bool{}, answers: map[string]map[string]any{},
	}
	problems := v.set(p, q.body)
	if q.body["self_onboarding"] == true && q.text("email") == "" {
		problems = append(problems, problem("missing_parameter", "email", "Email is required for self onboarding"))
	}
	if len(problems) > 0 {
		return invalid(problems...)
	}
	p.fields["uuid"] = v.uuid()
	v.people = append(v.people, p)
	v.wrote(q, p, fake.Create, "employee.created")
	return answer{status: http.StatusCreated, body: v.json(p, false)}
}

func (v *Vendor) read(q *request) answer {
	return answer{status: http.StatusOK, body: v.json(q.person, strings.Contains(q.URL.Query().Get("include"), "all_compensations"))}
}

func (v *Vendor) update(q *request) answer {
	if a, ok := versioned(q, q.person.fields); !ok {
		return a
	}
	if problems := v.set(q.person, q.body); len(problems) > 0 {
		return invalid(problems...)
	}
	v.wrote(q, q.person, fake.Update, "employee.updated")
	return answer{status: http.StatusOK, body: v.json(q.person, false)}
}

// delete undoes a create, while onboarding lasts.
func (v *Vendor) delete(q *request) answer {
	if q.person.onboarded {
		return refuse(http.StatusUnprocessableEntity, "invalid_operation", "base", "Only onboarding employees can be deleted.")
	}
	p := q.person
	v.people = slices.DeleteFunc(v.people, func(x *person) bool { return x == p })
	v.wrote(q, p, fake.Delete, "employee.deleted")
	v.log.Put(p.id(), nil)
	return answer{status: http.StatusNoContent}
}
