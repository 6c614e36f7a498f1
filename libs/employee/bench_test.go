package employee

import (
	"maps"
	"slices"
	"testing"
	"time"
)

// yardstick is a person as the company deploy/w1 knows one.
func yardstick() *State {
	at := time.Date(2026, 6, 15, 10, 0, 0, 123456789, time.UTC)
	s := &State{
		Head: Head{
			ID: "e5v3kq2m7xw4t6y8z9a1b2c3d4", Version: 17, Status: Active, Source: "http", Event: "u2m7xw4t6y8z9a1b2c3d4e5v3k",
			Changed:    []string{"compensation.amount", "custom.event_number", "employment.status", "positions[].department", "positions[].location", "positions[].title"},
			AcceptedAt: at, Config: "0f343b0931126a20f133d67c2b018a3b", Contains: map[string]uint64{"http.k3kq2m7xw4t6y8z9a1b2c3d4e5": 48211},
		},
		Said: Active,
		Fields: Flat{
			"external.http": []any{"100417"}, "custom.event_number": "evt-48211", "employee_number": "100417",
			"name.given": "Alexandra", "name.middle": "Marie", "name.family": "Montgomery-100417", "name.preferred": "Alex",
			"work_email": "alexandra.montgomery.100417@example.test", "birth_date": "2019-03-14",
			"national_ids[US/ssn]": Tree{"country": "US", "kind": "ssn", "value": "SSN-900-11-100417"},
			"employment.status":    Active, "employment.type": "full_time", "employment.hire_date": "2019-03-14", "employment.termination_date": nil, "employment.country": "DE",
			"positions[primary].title": "Senior Software Engineer", "positions[primary].department": "Engineering", "positions[primary].division": "EMEA",
			"positions[primary].location": "Berlin", "positions[primary].cost_center": "CC-4711",
			"compensation.amount": "85.50", "compensation.currency": "USD", "compensation.period": "month", "compensation.kind": "salary",
			"bank_accounts": []any{Tree{"iban": "IBAN-DE00-100417"}},
		},
		Provenance: map[string]Origin{},
	}
	for leaf := range s.Fields {
		s.Provenance[leaf] = Origin{Source: "http", At: at}
	}
	return s
}

// allowed is what deploy/w1 sends to iam.
var allowed = []string{"custom.event_number", "employee_number", "name.given", "name.family", "name.preferred", "work_email", "employment.status", "employment.type",
	"employment.hire_date", "positions[].title", "positions[].department", "positions[].division", "positions[].location"}

func BenchmarkEncode(b *testing.B) {
	s, custom := yardstick(), CustomClasses{"event_number": Basic}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, _, err := s.Encode(custom); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecode reads a state back, without and with where its values came
// from, and its head alone.
func BenchmarkDecode(b *testing.B) {
	head, basic, restricted, err := yardstick().Encode(CustomClasses{"event_number": Basic})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("head", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ReadHead(head); err != nil {
				b.Fatal(err)
			}
		}
	})
	fields := func(h Head, basic, restricted []byte) (*State, error) { return DecodeFields(h, basic, restricted, nil) }
	for name, decode := range map[string]func(Head, []byte, []byte) (*State, error){"fields": fields, "whole": DecodeState} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := decode(Head{}, basic, restricted); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkShapes goes from one shape of a person to another.
func BenchmarkShapes(b *testing.B) {
	f := yardstick().Fields
	tree, allow := f.Tree(), NewAllowList(allowed)
	small := allow.Minimise(f)
	for name, step := range map[string]func(){
		"flatten":  func() { Flatten(tree) },
		"tree":     func() { f.Tree() },
		"minimise": func() { allow.Minimise(f) },
		"smaller":  func() { small.Tree() },
		"patterns": func() { Patterns(slices.Collect(maps.Keys(small))) },
		"split":    func() { Split(f, nil) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
		})
	}
}
