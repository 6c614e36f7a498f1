package delivery

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connectors"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/secret"
)

// payroll is a csv target at its fake, under a name that has a consumer; it knows no deduction.
func payroll(t *testing.T) (*config.Target, fake.Vendor) {
	t.Helper()
	typ := connectors.All["csv"]
	settings := map[string]any{}
	for name, s := range typ.Settings {
		if s.Default != nil && s.For != connector.AsSource {
			settings[name] = s.Default
		}
	}
	for name, v := range map[string]any{
		"user": "hub", "host_key": typ.Sandbox.Settings["host_key"], "company_code": "ALP", "manifest": "{name}.manifest.json", "ack": "files",
		"folder": "in", "ack_folder": "answers", "deduction_codes": "none",
	} {
		settings[name] = v
	}
	texts := map[string]string{}
	for name, v := range settings {
		if s, ok := v.(string); ok {
			texts[name] = s
		}
	}
	vendor, ok := typ.Fake(fake.Options{Settings: texts}).(fake.Listener)
	if !ok {
		t.Fatal("the fake does not listen")
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- vendor.Serve(ctx, l, &fake.Faults{}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return &config.Target{
		Account: config.Account{
			Name: "okta", Connector: "csv", Type: typ, BaseURL: "sftp://" + l.Addr().String(), AllowPrivate: []string{l.Addr().String()},
			Settings: settings, Secrets: map[string]secret.Ref{"private_key": "env:PAYROLL_KEY"},
		},
		Files: config.FilePlan{Every: 50 * time.Millisecond, Answers: 50 * time.Millisecond},
	}, vendor
}

// TestAPayrollTakesFiles: the whole service against the connector's fake. The
// payroll applies a hire, and refuses a row of another person.
func TestAPayrollTakesFiles(t *testing.T) {
	to, vendor := payroll(t)
	w := newWorld(t, to, "employee_number", "name", "employment", "compensation", "deductions[]")
	env := w.host.Getenv
	w.host.Getenv = func(k string) string {
		if k == "PAYROLL_KEY" {
			return to.Type.Sandbox.Secrets["private_key"]
		}
		return env(k)
	}
	m, problems := mapping.Parse("csv.yaml", to.Type.ToVendor, mapping.Options{Direction: mapping.ToVendor, Source: "okta"})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	w.company.Integrations["main"].Mapping = m
	person := func(number string, more employee.Flat) employee.Flat {
		f := employee.Flat{
			"employee_number": number, "name.given": "Zoltan", "name.family": "F" + number, "employment.status": employee.Active, "employment.hire_date": "2026-02-16",
			"compensation.amount": "41.2500", "compensation.currency": "USD", "compensation.period": "hour",
		}
		for k, v := range more {
			f[k] = v
		}
		return f
	}
	w.start()
	w.say("emp1", 1, "name.given", person("E1", nil))
	w.until("okta", "emp1", "1 accepted, 1 applied")
	w.say("emp2", 1, "name.given", person("E2", employee.Flat{"deductions": []any{map[string]any{"code": "MED", "amount": map[string]any{"amount": "1.00", "currency": "USD"}}}}))
	w.until("okta", "emp2", "1 accepted, 1 dead")
	w.say("emp1", 2, "compensation", person("E1", employee.Flat{"compensation.amount": "42.00"}))
	w.until("okta", "emp1", "1 accepted, 1 applied, 2 accepted, 2 applied")
	people, writes := vendor.Log().State()
	if p := people["E1"]; p["pay_rate"] != "42.00" || p["family_name"] != "FE1" || p["pay_type"] != "HOURLY" {
		t.Errorf("at the payroll is %v", p)
	}
	var rows []string
	for _, x := range writes {
		if body, ok := x.Body.(map[string]any); ok && body["pay_rate"] != nil {
			rows = append(rows, fmt.Sprint(x.Key, " ", x.Op, " ", body["pay_rate"]))
		}
	}
	if got := strings.Join(rows, ", "); got != "E1 create 41.2500, E2 create 41.2500, E1 update 42.00" {
		t.Errorf("rows %s", got)
	}
	if s := w.log.String(); strings.Contains(s, "Zoltan") {
		t.Errorf("log: %s", s)
	}
}
