package gusto

import (
	"cmp"
	"encoding/json"
	"slices"
)

// person is an employee as Gusto answers: what the sink decides by, and all
// fields by their names for comparing.
type person struct {
	UUID         string        `json:"uuid"`
	Version      string        `json:"version"`
	Onboarded    bool          `json:"onboarded"`
	HasSSN       bool          `json:"has_ssn"`
	Terminations []termination `json:"terminations"`
	Jobs         []job         `json:"jobs"`

	all map[string]any
}

// UnmarshalJSON also keeps every field.
func (p *person) UnmarshalJSON(b []byte) error {
	type plain person
	var out plain
	if err := json.Unmarshal(b, &out); err != nil {
		return err
	}
	if err := json.Unmarshal(b, &out.all); err != nil {
		return err
	}
	*p = person(out)
	return nil
}

func (p person) text(name string) string { s, _ := p.all[name].(string); return s }

type job struct {
	UUID          string         `json:"uuid"`
	Version       string         `json:"version"`
	Primary       bool           `json:"primary"`
	Title         string         `json:"title"`
	HireDate      string         `json:"hire_date"`
	Compensations []compensation `json:"compensations"`
}

type compensation struct {
	UUID      string `json:"uuid"`
	Version   string `json:"version"`
	Title     string `json:"title"`
	Rate      string `json:"rate"`
	Unit      string `json:"payment_unit"`
	FLSA      string `json:"flsa_status"`
	Effective string `json:"effective_date"`
}

type termination struct {
	UUID       string `json:"uuid"`
	Version    string `json:"version"`
	Cancelable bool   `json:"cancelable"`
	Effective  string `json:"effective_date"`
}

// address is a home or a work address.
type address struct {
	UUID      string `json:"uuid"`
	Version   string `json:"version"`
	Active    bool   `json:"active"`
	Effective string `json:"effective_date"`
	Location  string `json:"location_uuid"` // work only
	State     string `json:"state"`

	all map[string]any
}

// UnmarshalJSON also keeps every field.
func (a *address) UnmarshalJSON(b []byte) error {
	type plain address
	var out plain
	if err := json.Unmarshal(b, &out); err != nil {
		return err
	}
	if err := json.Unmarshal(b, &out.all); err != nil {
		return err
	}
	*a = address(out)
	return nil
}

// job is the one we follow: by its id, else the primary one.
func (p person) job(id string) (job, bool) {
	for _, want := range []func(job) bool{
		func(j job) bool { return id != "" && j.UUID == id },
		func(j job) bool { return j.Primary },
		func(job) bool { return true },
	} {
		if i := slices.IndexFunc(p.Jobs, want); i >= 0 {
			return p.Jobs[i], true
		}
	}
	return job{}, false
}

// ended is the termination that holds, or will: the newest, unless a rehire
// came after it. A rehire moves the hire date of the job.
func (p person) ended(jobID string) (termination, bool) {
	if len(p.Terminations) == 0 {
		return termination{}, false
	}
	t := slices.MaxFunc(p.Terminations, func(a, b termination) int { return cmp.Compare(a.Effective, b.Effective) })
	if j, ok := p.job(jobID); ok && j.HireDate > t.Effective {
		return termination{}, false
	}
	return t, true
}

// inForce is the address that holds now: the active one, else the newest.
func inForce(list []address) (address, bool) {
	if len(list) == 0 {
		return address{}, false
	}
	if i := slices.IndexFunc(list, func(a address) bool { return a.Active }); i >= 0 {
		return list[i], true
	}
	return slices.MaxFunc(list, func(a, b address) int { return cmp.Compare(a.Effective, b.Effective) }), true
}
