package edi834

import (
	"encoding/json"
	"errors"

	"github.com/muster-hr/muster/libs/fault"
)

// body is what a mapping makes of a person: see to.yaml.
type body struct {
	Status     string            `json:"status"`
	Subscriber person            `json:"subscriber"`
	Home       *address          `json:"home"`
	Mailing    *address          `json:"mailing"`
	Contact    contact           `json:"contact"`
	Employment employment        `json:"employment"`
	Reporting  map[string]string `json:"reporting"`
	Elections  []election        `json:"elections"`
	Dependants []dependant       `json:"dependants"`
}

type person struct {
	Number    string `json:"number"` // of a subscriber
	Family    string `json:"family"`
	Given     string `json:"given"`
	Middle    string `json:"middle"`
	Suffix    string `json:"suffix"`
	SSN       string `json:"ssn"`
	BirthDate string `json:"birth_date"`
	Gender    string `json:"gender"`
	Marital   string `json:"marital_status"`
}

type dependant struct {
	ID           string   `json:"id"`
	Relationship string   `json:"relationship"`
	Address      *address `json:"address"`
	person
}

type address struct {
	Lines   []string `json:"lines"`
	City    string   `json:"city"`
	Region  string   `json:"region"` // ISO 3166-2, or its part behind the country
	Postal  string   `json:"postal_code"`
	Country string   `json:"country"` // ISO 3166-1; "" is US
}

type contact struct {
	HomePhone   string `json:"home_phone"`
	MobilePhone string `json:"mobile_phone"`
	Email       string `json:"email"`
}

type employment struct {
	Type              string `json:"type"`
	HireDate          string `json:"hire_date"`
	TerminationDate   string `json:"termination_date"`
	TerminationReason string `json:"termination_reason"`
}

type election struct {
	Plan       string   `json:"plan"`
	Kind       string   `json:"kind"`
	Coverage   string   `json:"coverage"`
	Start      string   `json:"start"`
	End        string   `json:"end"`
	Waived     bool     `json:"waived"`
	Reason     string   `json:"reason"`
	Dependants []string `json:"dependants"`
}

// readBody reads a mapped body. status is what the employee has there: it holds
// where the body says none, and an end always does, since who leaves an
// integration is still active in the body.
func readBody(mapped map[string]any, status string) (body, error) {
	var b body
	raw, err := json.Marshal(mapped)
	if err == nil {
		err = json.Unmarshal(raw, &b)
	}
	if err != nil {
		f := &fault.Error{Class: fault.Record, Reason: "body", Err: errors.New("the body has not the form of the shipped mapping")}
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			f.Path = wrong.Field
		}
		return b, f
	}
	if b.Status == "" || (body{Status: status}).over() {
		b.Status = status
	}
	return b, nil
}

// over tells whether the employment has ended.
func (b body) over() bool { return b.Status == "terminated" || b.Status == "withdrawn" }

// dependant finds one by id, with its place.
func (b body) dependant(id string) (dependant, int, bool) {
	for i, d := range b.Dependants {
		if d.ID == id {
			return d, i, true
		}
	}
	return dependant{}, -1, false
}

// waiver finds the election that waives a line, which it names by its plan, else
// by the kind of benefit.
func (p *profile) waiver(b body, code string) (election, bool) {
	for _, e := range b.Elections {
		pl, named := p.plans[e.Plan]
		if e.Waived && (named && pl.line == code || !named && known(kinds[e.Kind], code)) {
			return e, true
		}
	}
	return election{}, false
}

// kinds are the lines that a kind of benefit may be.
var kinds = map[string][]string{
	"medical": words("HLT PPO HMO POS EPO MM"), "dental": {"DEN", "DCP"}, "vision": {"VIS"}, "std": {"STD"}, "ltd": {"LTD"},
}

// bad is a fault of a person. It names place and rule, never a value.
func bad(reason, path, rule string) error {
	return &fault.Error{Class: fault.Record, Reason: reason, Path: path, Rule: rule, Err: errors.New("the carrier would refuse it")}
}
