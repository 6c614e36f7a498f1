package fake

import (
	"maps"
	"net/http"
	"slices"

	"github.com/muster-hr/muster/libs/connector/fake"
)

func (v *Vendor) listOffered(*request) answer {
	return answer{status: http.StatusOK, body: v.offered}
}

func (v *Vendor) listBenefits(q *request) answer {
	return answer{status: http.StatusOK, body: append([]object{}, q.person.benefits...)}
}

var benefitFields = []string{"active", "employee_deduction", "deduct_as_percentage", "contribution", "effective_date"}

func fillBenefit(b object, q *request) (answer, bool) {
	next := maps.Clone(b)
	for _, name := range benefitFields {
		if q.has(name) {
			next[name] = q.body[name]
		}
	}
	if s, _ := next["employee_deduction"].(string); !money.MatchString(s) {
		return invalid(problem("invalid_attribute_value", "employee_deduction", "is a text with two decimals")), false
	}
	maps.Copy(b, next)
	of := object{}
	for _, name := range benefitFields {
		of[name] = b[name]
	}
	b["version"] = Digest(of)
	return answer{}, true
}

// createBenefit begins in 1970 unless it is said otherwise.
func (v *Vendor) createBenefit(q *request) answer {
	offer := q.text("company_benefit_uuid")
	switch {
	case !slices.ContainsFunc(v.offered, func(o object) bool { return o["uuid"] == offer }):
		return invalid(problem("invalid_attribute_value", "company_benefit_uuid", "Company benefit does not exist"))
	case slices.ContainsFunc(q.person.benefits, func(b object) bool { return b["company_benefit_uuid"] == offer }):
		return refuse(http.StatusUnprocessableEntity, "duplicate_operation", "company_benefit_uuid", "The employee has this benefit already.")
	}
	b := object{
		"uuid": v.uuid(), "employee_uuid": q.person.id(), "company_benefit_uuid": offer,
		"active": true, "employee_deduction": "0.00", "deduct_as_percentage": false, "effective_date": "1970-01-01",
	}
	if a, ok := fillBenefit(b, q); !ok {
		return a
	}
	q.person.benefits = append(q.person.benefits, b)
	v.wrote(q, q.person, fake.Update, "employee.updated")
	return answer{status: http.StatusCreated, body: b}
}

func (v *Vendor) updateBenefit(q *request) answer {
	for _, p := range v.people {
		for _, b := range p.benefits {
			if b["uuid"] != q.PathValue("benefit") {
				continue
			}
			if a, ok := versioned(q, b); !ok {
				return a
			}
			if a, ok := fillBenefit(b, q); !ok {
				return a
			}
			v.wrote(q, p, fake.Update, "employee.updated")
			return answer{status: http.StatusOK, body: b}
		}
	}
	return notFound()
}
