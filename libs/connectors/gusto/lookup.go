package gusto

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// location is one of the company's places. It has no name: people know it by
// its address.
type location struct {
	UUID   string `json:"uuid"`
	Street string `json:"street_1"`
	City   string `json:"city"`
	State  string `json:"state"`
	Active *bool  `json:"active"`
}

func (l location) called(name string) bool {
	for _, own := range []string{l.UUID, l.City, l.City + ", " + l.State, l.Street + ", " + l.City + ", " + l.State} {
		if strings.EqualFold(own, name) {
			return true
		}
	}
	return false
}

// lookupPlace turns the name of the work location into its UUID.
func (r *run) lookupPlace(ctx context.Context) error {
	const path = "work_address.location"
	name := text(r.section("work_address"), "location")
	if r.settled("work_address") || name == "" {
		return nil
	}
	if r.place = r.locations[name]; r.place != "" {
		return nil
	}
	var list []location
	if err := r.get(ctx, "/v1/companies/{id}/locations", r.company, &list); err != nil {
		return err
	}
	var found []string
	for _, l := range list {
		if l.called(name) && (l.Active == nil || *l.Active) {
			found = append(found, l.UUID)
		}
	}
	if len(found) != 1 {
		return wrong("location", path, "%d of the company's %d locations are called so: name it in the setting locations", len(found), len(list))
	}
	r.place = found[0]
	return nil
}

// companyBenefit is a deduction that the company offers.
type companyBenefit struct {
	UUID        string `json:"uuid"`
	Description string `json:"description"`
	Active      *bool  `json:"active"`
}

// lookupBenefits turns the codes of deductions into UUIDs, those that ended
// too: what was there before has to be found to be stopped.
func (r *run) lookupBenefits(ctx context.Context) error {
	if r.settled("benefits") {
		return nil
	}
	for i, b := range objects(r.d.Body["benefits"]) {
		if _, err := deduction(b, fmt.Sprintf("benefits[%d]", i)); err != nil {
			return err
		}
	}
	r.covers = map[string]string{}
	var offered []companyBenefit
	for _, list := range []struct {
		in   map[string]any
		path string
	}{{r.d.Body, "benefits"}, {r.d.Before, ""}} {
		for i, b := range objects(list.in["benefits"]) {
			code := text(b, "code")
			if r.covers[code] != "" {
				continue
			}
			if r.covers[code] = r.benefits[code]; r.covers[code] != "" {
				continue
			}
			if offered == nil {
				offered = []companyBenefit{}
				if err := r.get(ctx, "/v1/companies/{id}/company_benefits", r.company, &offered); err != nil {
					return err
				}
			}
			found := slices.DeleteFunc(slices.Clone(offered), func(c companyBenefit) bool {
				return !strings.EqualFold(c.Description, code) && c.UUID != code || c.Active != nil && !*c.Active && list.path != ""
			})
			switch {
			case len(found) == 1:
				r.covers[code] = found[0].UUID
			case list.path != "":
				return wrong("benefit", fmt.Sprintf("benefits[%d].code", i), "%d of the company's %d benefits are called so: name it in the setting benefits", len(found), len(offered))
			}
		}
	}
	return nil
}

// objects are the objects of a list.
func objects(v any) []map[string]any {
	list, _ := v.([]any)
	out := make([]map[string]any, 0, len(list))
	for _, x := range list {
		m, _ := x.(map[string]any)
		out = append(out, m)
	}
	return out
}
