package mapping_test

import (
	"encoding/json"
	"testing"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/mapping"
)

const bench15 = `
empty: ["0000-00-00"]
fields:
  employee_number: employeeNumber
  name.given: firstName
  name.family: lastName
  name.preferred: preferredName
  work_email: {from: workEmail, lower: true}
  personal_email: homeEmail
  birth_date: dateOfBirth
  gender: {from: gender, map: {Male: male, Female: female}, else: other}
  employment.status: {from: status, map: {Active: active, Inactive: terminated}}
  employment.hire_date: hireDate
  employment.termination_date: terminationDate
  positions[primary].title: jobTitle
  positions[primary].department: department
  positions[primary].manager: supervisorEId
  compensation.amount: {from: payRate, money: amount}
`

const record = `{"id":"4117","employeeNumber":"0417","status":"Active","firstName":"Siobhán","middleName":null,"lastName":"O'Dwyer","preferredName":"Shiv","displayName":"Shiv O'Dwyer","gender":"Female","dateOfBirth":"1988-02-29","birthday":"02-29","maritalStatus":"Single","ssn":null,"nin":"QQ 12 34 56 C","workEmail":"siobhan.odwyer@northlight.example","homeEmail":"shiv88@mail.example","workPhone":"+353 91 555 014","workPhoneExtension":"22","mobilePhone":"+353 85 555 0188","homePhone":null,"address1":"Teach na Mara, Bóthar an Chlaí","address2":"","city":"Bearna","state":"County Galway","stateCode":null,"zipcode":"H91 X2Y3","country":"Ireland","hireDate":"2023-06-01","originalHireDate":"0000-00-00","terminationDate":"0000-00-00","employmentHistoryStatus":"Full-Time","jobTitle":"Senior Actuary","department":"Pricing","division":"Life & Pensions","location":"Galway","supervisor":"Nguyễn, Thảo","supervisorId":"88","supervisorEId":"3990","payRate":"72000.00 EUR","payType":"Salary","paidPer":"Year","payRateEffectiveDate":"2026-03-01","customShirtSize":"M"}`

// BenchmarkObserve maps 15 fields of a record of 1.2 kB; decoding it is part.
func BenchmarkObserve(b *testing.B) {
	m := parse(b, bench15, mapping.Options{Source: "bamboohr"})
	rec := connector.Record{Key: "4117", Body: json.RawMessage(record)}
	b.SetBytes(int64(len(record)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Observe(rec, noon); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkObserveWhole is the full BambooHR mapping with phones, country and CEL.
func BenchmarkObserveWhole(b *testing.B) {
	m := load(b, "bamboohr.yaml", mapping.Options{Source: "bamboohr"})
	rec := connector.Record{Key: "4117", Body: json.RawMessage(record)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Observe(rec, noon); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBody(b *testing.B) {
	m := load(b, "okta.yaml", mapping.Options{Direction: mapping.ToVendor, Source: "okta"})
	e := employee.Tree{"employee_number": "1", "work_email": "a@b", "name": employee.Tree{"given": "Ann", "family": "Bo"},
		"positions": []any{employee.Tree{"primary": true, "title": "x", "department": "y", "manager": "01M"}}}
	in := mapping.Input{ID: "1", Ref: func(string) (string, bool) { return "x", true }}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := m.Body(e, in, noon); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCondition(b *testing.B) {
	c, err := mapping.ParseCondition(`employment.status in ["active", "leave"] && positions.exists(p, p.primary)`, nil)
	if err != nil {
		b.Fatal(err)
	}
	e := employee.Tree{"employment": employee.Tree{"status": "active"}, "positions": []any{employee.Tree{"primary": true}}}
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := c.Holds(e, noon); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
