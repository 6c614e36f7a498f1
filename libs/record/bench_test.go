package record_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/record"
)

// A call of deploy/w1.
const webhook = `{"webhookId":"wh-7731","companyDomain":"acme-test","eventId":"evt-48211","type":"employee.updated","timestamp":"2026-06-15T10:00:00Z","employees":[{"id":"100417","action":"Updated","timestamp":"2026-06-15T10:00:00Z","changedFields":["jobTitle","department","location","payRate","status"],"fields":{"employeeNumber":"100417","firstName":"Alexandra","middleName":"Marie","lastName":"Montgomery-100417","preferredName":"Alex","workEmail":"alexandra.montgomery.100417@example.test","homeEmail":"alex.m100417@mail.example.test","mobilePhone":"+1 555 0100417","dateOfBirth":"3/14/2019","hireDate":"3/14/2019","terminationDate":"","status":"Active","employmentStatus":"Full-Time","jobTitle":"Senior Software Engineer","department":"Engineering","division":"EMEA","location":"Berlin","country":"Germany","supervisorId":"100042","supervisorEmail":"lead.42@example.test","payRate":"85.50 USD","payType":"Salary","payPeriod":"Month","ssn":"SSN-900-11-100417","bankAccount":"IBAN-DE00-100417","costCenter":"CC-4711","address":{"line1":"1200 Example Boulevard","line2":"Floor 7","city":"Springfield","state":"XX","zip":"00000"},"gender":"unspecified","flsaCode":"Exempt","version":"5","lastChanged":"2026-06-15T10:00:00Z"}}]}`

var then = time.Date(2026, 6, 15, 10, 0, 0, 123456789, time.UTC)

func BenchmarkReceive(b *testing.B) {
	c, _ := codec(b)
	r := connector.Record{Key: "100417", ID: "evt-48211", Event: "employee.updated", Body: json.RawMessage(webhook)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Receive(b.Context(), "http", r, then); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenReceived(b *testing.B) {
	c, _ := codec(b)
	m, err := c.Receive(b.Context(), "http", connector.Record{Key: "100417", ID: "evt-48211", Event: "employee.updated", Body: json.RawMessage(webhook)}, then)
	if err != nil {
		b.Fatal(err)
	}
	token := c.Token("http", "100417")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.OpenReceived(b.Context(), token, m.Event); err != nil {
			b.Fatal(err)
		}
	}
}

// stated is a statement of deploy/w1, seventeen records on.
func stated() record.Statement {
	return record.Statement{
		Source: "http", Employee: "e5v3kq2m7xw4t6y8z9a1b2c3d4", Status: record.StatusApplied, Event: "u2m7xw4t6y8z9a1b2c3d4e5v3k", Word: "employee.updated", Raw: 48211,
		AcceptedAt: then, StatedAt: then, Seen: []string{"u2m7xw4t6y8z9a1b2c3d4e5v3k", "v2m7xw4t6y8z9a1b2c3d4e5v3k", "w2m7xw4t6y8z9a1b2c3d4e5v3k"},
		Config: "0f343b0931126a20f133d67c2b018a3b", Key: "100417", Whole: json.RawMessage(webhook),
	}
}

func BenchmarkState(b *testing.B) {
	c, _ := codec(b)
	token, s := c.Token("http", "100417"), stated()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.State(b.Context(), token, s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenStatement(b *testing.B) {
	c, _ := codec(b)
	token := c.Token("http", "100417")
	m, err := c.State(b.Context(), token, stated())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.OpenStatement(b.Context(), token, m.Event); err != nil {
			b.Fatal(err)
		}
	}
}

// delivered is an update of iam in deploy/w1.
func delivered() record.Delivery {
	return record.Delivery{
		Target: "iam", Integration: "iam", Employee: "e5v3kq2m7xw4t6y8z9a1b2c3d4", Event: "u2m7xw4t6y8z9a1b2c3d4e5v3k", Type: "hr.employee.updated.v1",
		Version: 17, Attempt: 1, Outcome: record.OutcomeApplied, Purpose: "identity", LegalBasis: "contract",
		Fields: []string{"custom.event_number", "employee_number", "employment.hire_date", "employment.status", "employment.type", "name.family", "name.given", "name.preferred",
			"positions[].department", "positions[].division", "positions[].location", "positions[].title", "work_email"},
		Config: "0f343b0931126a20f133d67c2b018a3b", At: then, AcceptedAt: then, TookMS: 12, Trace: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
		Done: 17, Digest: "d2m7xw4t6y8z9a1b2c3d4e5v3k", Status: "active",
		Refs: map[string]string{"id": "100417"},
		Body: map[string]any{
			"event_id": "evt-48211", "employee_id": "100417", "user_name": "alexandra.montgomery.100417@example.test", "display_name": "Alex Montgomery-100417",
			"given_name": "Alexandra", "family_name": "Montgomery-100417", "active": true, "title": "Senior Software Engineer", "department": "Engineering",
			"division": "EMEA", "location": "Berlin", "start_date": "2019-03-14", "employment_type": "full_time",
		},
	}
}

func BenchmarkDeliver(b *testing.B) {
	c, _ := codec(b)
	d := delivered()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Deliver(b.Context(), d, false); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenDelivery(b *testing.B) {
	c, _ := codec(b)
	d := delivered()
	m, err := c.Deliver(b.Context(), d, false)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.OpenDelivery(b.Context(), d.Employee, m.Event, false); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNormal(b *testing.B) {
	d := delivered()
	b.ReportAllocs()
	for b.Loop() {
		record.Normal(d.Body)
	}
}
