package fake

import (
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/muster-hr/muster/libs/connector/fake"
)

var filing = []string{"Single", "Married", "Head of Household", "Exempt from withholding"}

func (v *Vendor) forbidden() (answer, bool) {
	if v.o.Settings["program"] != "app" {
		return answer{}, false
	}
	return refuse(http.StatusForbidden, "missing_permissions", "request", "The application lacks the scope for this endpoint."), true
}

func federal(p *person) object {
	if p.federal == nil {
		p.federal = object{
			"filing_status": "Single", "two_jobs": false, "dependents_amount": "0.00", "other_income": "0.00",
			"deductions": "0.00", "extra_withholding": "0.00", "w4_data_type": "rev_2020_w4",
		}
		touchFederal(p.federal)
	}
	return p.federal
}

func touchFederal(f object) {
	of := maps.Clone(f)
	delete(of, "version")
	f["version"] = Digest(of)
}

func (v *Vendor) readFederal(q *request) answer {
	if a, no := v.forbidden(); no {
		return a
	}
	return answer{status: http.StatusOK, body: federal(q.person)}
}

func (v *Vendor) updateFederal(q *request) answer {
	if a, no := v.forbidden(); no {
		return a
	}
	f := federal(q.person)
	if a, ok := versioned(q, f); !ok {
		return a
	}
	if q.text("w4_data_type") != "rev_2020_w4" {
		return invalid(problem("invalid_attribute_value", "w4_data_type", "Only the revised W-4 is taken"))
	}
	if s := q.text("filing_status"); q.has("filing_status") && !slices.Contains(filing, s) {
		return invalid(problem("invalid_attribute_value", "filing_status", s+" is not a filing status"))
	}
	for _, name := range []string{"dependents_amount", "other_income", "deductions", "extra_withholding"} {
		if q.has(name) && !money.MatchString(q.text(name)) {
			return invalid(problem("invalid_attribute_value", name, "is a text with two decimals"))
		}
	}
	for name := range f {
		if q.has(name) {
			f[name] = q.body[name]
		}
	}
	touchFederal(f)
	v.wrote(q, q.person, fake.Update, "employee.updated")
	return answer{status: http.StatusOK, body: f}
}

// untaxed states have no withholding of their own.
var untaxed = []string{"AK", "FL", "NV", "NH", "SD", "TN", "TX", "WA", "WY"}

// states are those in which somebody lives and works, as far as they ask.
func states(p *person) []string {
	var out []string
	for _, list := range [][]object{p.home, p.work} {
		for _, a := range list {
			if s, _ := a["state"].(string); s != "" && !slices.Contains(untaxed, s) && !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	slices.Sort(out)
	return out
}

// questions of a state. Their keys differ in truth; here two forms stand for
// all of them.
func questions(state string) []object {
	q := []object{{
		"key": "filing_status", "label": "Filing status", "description": "", "is_question_for_admin_only": false,
		"input_question_format": object{"type": "Select", "options": []object{{"value": "S", "label": "Single"}, {"value": "M", "label": "Married"}, {"value": "H", "label": "Head of household"}}},
	}}
	if state == "OR" {
		return append(q, object{"key": "withholding_allowance", "label": "Allowances", "description": "", "is_question_for_admin_only": false, "input_question_format": object{"type": "Number"}})
	}
	return append(q, object{"key": "additional_withholding", "label": "Additional", "description": "", "is_question_for_admin_only": false, "input_question_format": object{"type": "Currency"}})
}

func (v *Vendor) stateForms(p *person) []any {
	out := []any{}
	for _, s := range states(p) {
		qs := []any{}
		for _, q := range questions(s) {
			key, _ := q["key"].(string)
			q["answers"] = []any{}
			if x, ok := p.answers[s][key]; ok {
				q["answers"] = []any{object{"value": x, "valid_from": "2010-01-01", "valid_up_to": nil}}
			}
			qs = append(qs, q)
		}
		out = append(out, object{"employee_uuid": p.id(), "state": s, "questions": qs})
	}
	return out
}

func (v *Vendor) readStates(q *request) answer {
	if a, no := v.forbidden(); no {
		return a
	}
	return answer{status: http.StatusOK, body: v.stateForms(q.person)}
}

func (v *Vendor) updateStates(q *request) answer {
	if a, no := v.forbidden(); no {
		return a
	}
	p := q.person
	next := map[string]map[string]any{}
	for s, m := range p.answers {
		next[s] = maps.Clone(m)
	}
	list, _ := q.body["states"].([]any)
	for _, x := range list {
		form, _ := x.(object)
		s, _ := form["state"].(string)
		if !slices.Contains(states(p), s) {
			return invalid(problem("invalid_attribute_value", "state", "State is not one of the employee's"))
		}
		if next[s] == nil {
			next[s] = map[string]any{}
		}
		asked, _ := form["questions"].([]any)
		for _, x := range asked {
			given, _ := x.(object)
			if !answered(s, given, next[s]) {
				return invalid(problem("invalid_attribute_value", "answers", "The answer is invalid"))
			}
		}
	}
	p.answers = next
	v.wrote(q, p, fake.Update, "employee.updated")
	return answer{status: http.StatusOK, body: v.stateForms(p)}
}

// answered takes one answer, in the one form that Gusto knows.
func answered(state string, given object, into map[string]any) bool {
	answers, _ := given["answers"].([]any)
	if len(answers) != 1 {
		return false
	}
	a, _ := answers[0].(object)
	if upTo, said := a["valid_up_to"]; a["valid_from"] != "2010-01-01" || !said || upTo != nil {
		return false
	}
	for _, q := range questions(state) {
		if q["key"] != given["key"] {
			continue
		}
		format, _ := q["input_question_format"].(object)
		ok := false
		switch format["type"] {
		case "Select":
			options, _ := format["options"].([]object)
			ok = slices.ContainsFunc(options, func(o object) bool { return o["value"] == a["value"] })
		case "Number":
			_, ok = a["value"].(float64)
		case "Currency":
			s, isText := a["value"].(string)
			_, err := strconv.ParseFloat(s, 64)
			ok = isText && err == nil
		}
		key, _ := q["key"].(string)
		into[key] = a["value"]
		return ok
	}
	return false
}
