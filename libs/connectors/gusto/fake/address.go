package fake

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"

	"github.com/muster-hr/muster/libs/connector/fake"
)

func (v *Vendor) location(city, state string) object {
	return object{"uuid": v.uuid(), "street_1": strconv.Itoa(100+v.made) + " Main St", "street_2": nil, "city": city, "state": state, "zip": "97201", "country": "USA", "active": true}
}

func (v *Vendor) place(id string) object {
	if i := slices.IndexFunc(v.locations, func(l object) bool { return l["uuid"] == id }); i >= 0 {
		return v.locations[i]
	}
	return nil
}

func (v *Vendor) listLocations(*request) answer {
	return answer{status: http.StatusOK, body: v.locations}
}

var (
	stateForm = regexp.MustCompile(`^[A-Z]{2}$`)
	zipForm   = regexp.MustCompile(`^\d{5}(-?\d{4})?$`)
)

// addresses are the list that a path's last word names.
func (p *person) addresses(kind string) *[]object {
	switch kind {
	case "home_addresses":
		return &p.home
	case "work_addresses":
		return &p.work
	}
	return nil
}

// listAddresses tells which one holds today.
func (v *Vendor) listAddresses(q *request) answer {
	list := q.person.addresses(q.PathValue("kind"))
	if list == nil {
		return notFound()
	}
	out := []any{}
	now := v.inForce(*list)
	for i, a := range *list {
		a = maps.Clone(a)
		a["active"] = i == now
		out = append(out, a)
	}
	return answer{status: http.StatusOK, body: out}
}

func (v *Vendor) createAddress(q *request) answer {
	list := q.person.addresses(q.PathValue("kind"))
	if list == nil {
		return notFound()
	}
	a := object{"uuid": v.uuid(), "employee_uuid": q.person.id()}
	if bad, ok := v.fill(a, q, q.PathValue("kind")); !ok {
		return bad
	}
	if slices.ContainsFunc(*list, func(x object) bool { return x["effective_date"] == a["effective_date"] }) {
		return refuse(http.StatusUnprocessableEntity, "duplicate_operation", "effective_date", "An address with this effective date exists.")
	}
	*list = sorted(append(*list, a))
	v.wrote(q, q.person, fake.Update, "employee.updated")
	return answer{status: http.StatusCreated, body: a}
}

// fill writes the fields of an address if they are valid.
func (v *Vendor) fill(a object, q *request, kind string) (answer, bool) {
	next := maps.Clone(a)
	for _, name := range []string{"street_1", "street_2", "city", "state", "zip", "location_uuid", "effective_date"} {
		if x, ok := q.body[name]; ok {
			next[name] = x
		}
	}
	text := func(name string) string { s, _ := next[name].(string); return s }
	var problems []any
	bad := func(name, message string) {
		problems = append(problems, problem("invalid_attribute_value", name, message))
	}
	if !isDay(text("effective_date")) {
		bad("effective_date", "Effective date is not a valid date")
	}
	if kind == "work_addresses" {
		l := v.place(text("location_uuid"))
		if l == nil {
			bad("location_uuid", "Location is not one of the company's")
		}
		for _, name := range []string{"street_1", "street_2", "city", "state", "zip"} {
			next[name] = l[name]
		}
	} else {
		if text("street_1") == "" {
			bad("street_1", "Street is required")
		}
		if text("city") == "" {
			bad("city", "City is required")
		}
		if !stateForm.MatchString(text("state")) {
			bad("state", "State is not a state")
		}
		if !zipForm.MatchString(text("zip")) {
			bad("zip", "Zip is invalid")
		}
	}
	if len(problems) > 0 {
		return invalid(problems...), false
	}
	maps.Copy(a, next)
	for _, name := range []string{"version", "uuid", "employee_uuid"} {
		delete(next, name)
	}
	a["version"] = Digest(next)
	return answer{}, true
}

func (v *Vendor) updateAddress(q *request) answer {
	for _, p := range v.people {
		for _, kind := range []string{"home_addresses", "work_addresses"} {
			for _, a := range *p.addresses(kind) {
				if a["uuid"] != q.PathValue("address") {
					continue
				}
				if bad, ok := versioned(q, a); !ok {
					return bad
				}
				if bad, ok := v.fill(a, q, kind); !ok {
					return bad
				}
				*p.addresses(kind) = sorted(*p.addresses(kind))
				v.wrote(q, p, fake.Update, "employee.updated")
				return answer{status: http.StatusOK, body: a}
			}
		}
	}
	return notFound()
}
