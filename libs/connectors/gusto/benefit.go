package gusto

import (
	"context"
	"fmt"
	"net/http"
	"slices"
)

// employeeBenefit is what somebody pays into one of the company's benefits.
type employeeBenefit struct {
	UUID      string `json:"uuid"`
	Version   string `json:"version"`
	Benefit   string `json:"company_benefit_uuid"`
	Active    bool   `json:"active"`
	Deduction string `json:"employee_deduction"`
	Percent   bool   `json:"deduct_as_percentage"`
	Effective string `json:"effective_date"`
	Company   struct {
		Type  string `json:"type"`
		Value any    `json:"value"`
	} `json:"contribution"`
}

// deductions brings the list of the body: one that is new, one that changed,
// and, of those that were in the last list, one that is gone. What somebody
// entered in Gusto beside them stays.
func (r *run) deductions(ctx context.Context) error {
	if r.settled("benefits") {
		return nil
	}
	wanted := objects(r.d.Body["benefits"])
	before := objects(r.d.Before["benefits"])
	if len(wanted)+len(before) == 0 {
		return nil
	}
	var cur []employeeBenefit
	if !r.created {
		if err := r.get(ctx, "/v1/employees/{id}/employee_benefits", r.refs[refID], &cur); err != nil {
			return err
		}
	}
	said := map[string]bool{}
	for i, w := range wanted {
		uuid := r.covers[text(w, "code")]
		said[uuid] = true
		if err := r.deduct(ctx, cur, uuid, w, fmt.Sprintf("benefits[%d]", i)); err != nil {
			return err
		}
	}
	for _, b := range before {
		uuid := r.covers[text(b, "code")]
		if uuid == "" || said[uuid] {
			continue
		}
		if err := r.stop(ctx, cur, uuid); err != nil {
			return err
		}
	}
	return nil
}

// deduct brings one. Without an effective date Gusto would let it begin in
// 1970, so one always goes with a new one.
func (r *run) deduct(ctx context.Context, cur []employeeBenefit, uuid string, w map[string]any, path string) error {
	if end := text(w, "end"); end != "" && end < r.today() {
		return r.stop(ctx, cur, uuid)
	}
	body, err := deduction(w, path)
	if err != nil {
		return err
	}
	body["active"] = true
	i := slices.IndexFunc(cur, func(b employeeBenefit) bool { return b.Benefit == uuid })
	if i < 0 {
		body["company_benefit_uuid"] = uuid
		body["effective_date"] = text(w, "start")
		if body["effective_date"] == "" {
			body["effective_date"] = max(r.day(), text(r.section("job"), "hire_date"))
		}
		if err := r.do(ctx, call{method: http.MethodPost, template: "/v1/employees/{id}/employee_benefits", id: r.refs[refID], json: body}, nil); err != nil {
			return err
		}
		return r.done(ctx, path)
	}
	if cur[i].as(body) {
		return nil
	}
	body["version"] = cur[i].Version
	if err := r.do(ctx, call{method: http.MethodPut, template: "/v1/employee_benefits/{id}", id: cur[i].UUID, json: body}, nil); err != nil {
		return err
	}
	return r.done(ctx, path)
}

// deduction is an amount or a share of each pay. An amount for another time
// than a pay period would be taken too often or too seldom, and nobody here
// knows the company's pay schedule: that is for a person.
func deduction(w map[string]any, path string) (map[string]any, error) {
	if p := text(w, "period"); p != "" && p != "pay_period" {
		return nil, wrong("period", path+".period", "Gusto takes amounts per pay period")
	}
	for _, name := range []string{"currency", "employer_currency"} {
		if c := text(w, name); c != "" && c != "USD" {
			return nil, wrong("currency", path+"."+name, "Gusto pays in US dollars only")
		}
	}
	body := map[string]any{}
	switch amount, percent := text(w, "amount"), text(w, "percent"); {
	case amount != "":
		body["employee_deduction"], body["deduct_as_percentage"] = amount, false
	case percent != "":
		body["employee_deduction"], body["deduct_as_percentage"] = percent, true
	default:
		return nil, required(path + ".amount")
	}
	if employer := text(w, "employer_amount"); employer != "" {
		body["contribution"] = map[string]any{"type": "amount", "value": employer}
	}
	return body, nil
}

// as tells whether the benefit is as wanted.
func (b employeeBenefit) as(body map[string]any) bool {
	if !b.Active || !equalAmount(b.Deduction, text(body, "employee_deduction")) || b.Percent != body["deduct_as_percentage"] {
		return false
	}
	c, said := body["contribution"].(map[string]any)
	return !said || b.Company.Type == c["type"] && alike(b.Company.Value, c["value"])
}

func (r *run) stop(ctx context.Context, cur []employeeBenefit, uuid string) error {
	i := slices.IndexFunc(cur, func(b employeeBenefit) bool { return b.Benefit == uuid && b.Active })
	if i < 0 {
		return nil
	}
	body := map[string]any{"version": cur[i].Version, "active": false}
	if err := r.do(ctx, call{method: http.MethodPut, template: "/v1/employee_benefits/{id}", id: cur[i].UUID, json: body}, nil); err != nil {
		return err
	}
	return r.done(ctx, "benefits")
}
