package csv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connector/filestest"
	vendorfake "github.com/muster-hr/muster/libs/connectors/csv/fake"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/secret"
	"github.com/muster-hr/muster/libs/testkit/mappingtest"
	"github.com/muster-hr/muster/libs/testkit/sshd"
)

const sampleFile = "ALP_PAYCHG_20260302T143000Z_000187"

// alpine are the settings of the agreement behind the samples.
func alpine(more map[string]any) map[string]any {
	s := map[string]any{
		"user": "hub", "host_key": []string{vendorfake.HostKey()}, "company_code": "ALP", "sender": "ALPINEHR", "manifest": "{name}.manifest.json",
		"names_in_all_rows": true, "ack": "files", "clear": "#CLEAR",
		"encryption": map[string]string{
			"recipient_key": "6F2A 9C11 0D3E 77B4 5A90  E1C2 8D47 3B60 12FE A9D5", "signed_by": "C0DE 12B7 44A1 9F03 8E55  71AA 0B6D C3F2 9E18 40AB",
		},
	}
	for name, set := range Type.Settings {
		if _, said := s[name]; !said && set.Default != nil && set.For != connector.AsSource {
			s[name] = set.Default
		}
	}
	for name, v := range more {
		s[name] = v
	}
	return s
}

func filesOf(t *testing.T, more map[string]any) connector.Files {
	t.Helper()
	f, err := Type.Files(connector.Account{
		BaseURL: "sftp://127.0.0.1:9", Settings: alpine(more), Secrets: map[string]secret.Value{"private_key": secret.New(vendorfake.ClientKey())},
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

type body = map[string]any

func with(b body, more body) body {
	out := body{}
	for k, v := range b {
		out[k] = v
	}
	for k, v := range more {
		out[k] = v
	}
	return out
}

// The people of the sample.
var (
	zoe = body{
		"employee_number": "E10482", "external_id": "emp_01HZX9", "family_name": "O'Brien-Núñez", "given_name": "Zoë", "birth_date": "1991-07-04", "ssn": "900123401",
		"work_email": "zoe.obrien@alpine.example", "employment_status": "active", "hire_date": "2026-02-16",
		"pay_type": "SALARY", "pay_rate": "98750.00", "pay_period": "YEAR", "currency": "USD", "cost_center": "4410", "today": "2026-03-02",
	}
	soraya = body{
		"employee_number": "E10391", "external_id": "emp_01HQ21", "family_name": "Müller-D'Arcy", "given_name": "Soraya", "employment_status": "active", "hire_date": "2020-01-01",
		"pay_type": "HOURLY", "pay_rate": "40.0000", "pay_period": "HOUR", "currency": "USD", "cost_center": "0210", "today": "2026-03-02",
	}
	gus = body{
		"employee_number": "00731", "external_id": "emp_01HB77", "family_name": "Smith, Jr.", "given_name": `Ngũgĩ "Gus"`, "employment_status": "active", "hire_date": "2020-01-01",
		"today": "2026-03-02", "deductions": []any{},
	}
	bjorn = body{
		"employee_number": "E10217", "external_id": "emp_01HA03", "family_name": "Lindström", "given_name": "Björn", "employment_status": "active", "hire_date": "2020-01-01", "today": "2026-03-02",
	}
)

func differs(before, more body) connector.Delivery {
	return connector.Delivery{ID: fmt.Sprint(before["external_id"]), Status: "active", Was: "active", Before: before, Body: with(before, more)}
}

func (c sampleChanges) pieces(t *testing.T, f connector.Files) (out []connector.Piece) {
	t.Helper()
	for _, d := range c {
		p, err := f.Piece(d)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

type sampleChanges []connector.Delivery

func left(before, more body) connector.Delivery {
	d := differs(before, with(more, body{"employment_status": "terminated"}))
	d.Status = "terminated"
	return d
}

var changes = sampleChanges{
	{ID: "zoe", Status: "active", Body: zoe},
	differs(soraya, body{"pay_rate": "41.2500", "pay_effective_date": "2026-03-18"}),
	differs(gus, body{"deductions": []any{body{"code": "MED", "amount": "142.18", "start": "2026-04-01"}}}),
	left(bjorn, body{"termination_date": "2026-05-08", "last_day_worked": "2026-04-30"}),
}

func vendorFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata/vendor", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var numbering = connector.Numbering{Number: 187, Previous: 186, At: time.Date(2026, 3, 2, 14, 30, 0, 0, time.UTC)}

func built(t *testing.T, f connector.Files) connector.File {
	t.Helper()
	out, err := f.Build(numbering, changes.pieces(t, f))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestTheSampleFile: file and manifest are those of the receiver's guide, byte
// for byte.
func TestTheSampleFile(t *testing.T) {
	f := built(t, filesOf(t, nil))
	want := []connector.FilePart{
		{Name: sampleFile + ".csv", Content: []byte(vendorFile(t, sampleFile+".csv"))},
		{Name: sampleFile + ".manifest.json", Content: []byte(vendorFile(t, sampleFile+".manifest.json"))},
	}
	asText := cmp.Transformer("text", func(b []byte) string { return string(b) })
	if d := cmp.Diff(want, f.Parts, asText); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := cmp.Diff([]int{2, 3, 4, 5}, f.Starts); d != "" {
		t.Errorf("starts (-want +got):\n%s", d)
	}
}

// TestRows lists what each change makes: type, day, and the cells that say
// something beside those of all rows.
func TestRows(t *testing.T) {
	terminated := with(bjorn, body{"employment_status": "terminated", "termination_date": "2026-02-20", "pay_rate": "10.00", "currency": "EUR"})
	for _, c := range []struct {
		name string
		d    connector.Delivery
		want string
		bad  string // reason and column of the fault
	}{
		{name: "not begun", d: connector.Delivery{Status: "pre_hire", Body: with(zoe, body{"employment_status": "pre_hire"})}},
		{name: "left before we told of them", d: connector.Delivery{Status: "terminated", Body: terminated}},
		{name: "never came", d: connector.Delivery{Status: "withdrawn", Was: "pre_hire", Body: zoe}},
		{name: "nothing different", d: differs(soraya, body{"today": "2026-03-03"})},
		{name: "hired with a deduction", d: connector.Delivery{Status: "active", Was: "pre_hire", Body: with(gus, body{"deductions": []any{body{"code": "MED", "amount": "1.00"}}})},
			want: `HIRE 2020-01-01 family_name=Smith, Jr. given_name=Ngũgĩ "Gus" employment_status=active hire_date=2020-01-01; DEDUCTION 2026-03-02 deduction_code=MED deduction_amount=1.00`},
		{name: "hired on leave", d: connector.Delivery{Status: "leave", Body: with(bjorn, body{"employment_status": "leave"})},
			want: `HIRE 2020-01-01 family_name=Lindström given_name=Björn employment_status=leave hire_date=2020-01-01`},
		{name: "came back", d: connector.Delivery{Status: "active", Was: "terminated", Before: terminated, Body: with(bjorn, body{"hire_date": "2026-03-01"})},
			want: `HIRE 2026-03-01 family_name=Lindström given_name=Björn employment_status=active hire_date=2026-03-01`},
		{name: "pay of today", d: differs(soraya, body{"pay_rate": "42.00"}),
			want: `PAY 2026-03-02 pay_type=HOURLY pay_rate=42.00 pay_period=HOUR currency=USD cost_center=0210`},
		{name: "cost center from a day", d: differs(soraya, body{"cost_center": "0300", "job_start": "2026-03-09"}), want: `JOB 2026-03-09 cost_center=0300`},
		{name: "name and address", d: differs(zoe, body{"family_name": "O'Brien", "work_email": "z@alpine.example"}),
			want: `NAME 2026-03-02 family_name=O'Brien given_name=Zoë work_email=z@alpine.example`},
		{name: "leave", d: connector.Delivery{Status: "leave", Was: "active", Before: bjorn, Body: with(bjorn, body{"employment_status": "leave"})}, want: `LEAVE 2026-03-02 employment_status=leave`},
		{name: "return", d: connector.Delivery{Status: "active", Was: "leave", Before: with(bjorn, body{"employment_status": "leave"}), Body: bjorn}, want: `RETURN 2026-03-02 employment_status=active`},
		{name: "not covered any more", d: connector.Delivery{Status: "terminated", Was: "active", Before: bjorn, Body: bjorn}, want: `TERM 2026-03-02 employment_status=terminated`},
		{name: "another last day", d: connector.Delivery{Status: "terminated", Was: "terminated", Before: terminated, Body: with(terminated, body{"termination_date": "2026-02-27"})},
			want: `TERM 2026-02-27 employment_status=terminated termination_date=2026-02-27`},
		{name: "pay after the end", d: left(with(terminated, body{"employment_status": "active"}), body{"termination_date": "2026-03-01", "pay_rate": "11.00", "pay_effective_date": "2026-03-15"}),
			want: `TERM 2026-03-01 employment_status=terminated termination_date=2026-03-01`},
		{name: "pay before the end", d: left(with(terminated, body{"employment_status": "active"}), body{"termination_date": "2026-03-20", "pay_rate": "11.00", "pay_effective_date": "2026-03-15"}),
			want: `PAY 2026-03-15 pay_rate=11.00 currency=EUR; TERM 2026-03-20 employment_status=terminated termination_date=2026-03-20`},
		{name: "a deduction changed, one is gone", d: differs(with(gus, body{"deductions": []any{body{"code": "A", "amount": "1"}, body{"code": "B", "amount": "1"}}}), body{"deductions": []any{body{"code": "B", "amount": "2"}}}),
			want: `DEDUCTION 2026-03-02 deduction_code=B deduction_amount=2; DEDUCTION 2026-03-02 deduction_code=A deduction_end=2026-03-02`},
		{name: "deductions not said", d: differs(with(gus, body{"deductions": []any{body{"code": "A", "amount": "1"}}}), body{"given_name": "Gus", "deductions": nil}),
			want: `NAME 2026-03-02 family_name=Smith, Jr. given_name=Gus; DEDUCTION 2026-03-02 deduction_code=A deduction_end=2026-03-02`},
		{name: "cleared", d: differs(zoe, body{"work_email": nil}), want: `NAME 2026-03-02 family_name=O'Brien-Núñez given_name=Zoë work_email=#CLEAR`},
		{name: "said no more", d: connector.Delivery{Status: "active", Was: "active", Before: zoe, Body: body{"employee_number": "E10482"}}},

		{name: "postponed", d: connector.Delivery{Status: "pre_hire", Was: "active", Before: bjorn, Body: with(bjorn, body{"employment_status": "pre_hire", "hire_date": "2026-04-01", "termination_date": "2019-01-01"})},
			want: `TERM 2026-03-02 employment_status=terminated`},
		{name: "postponed, then terminated", d: connector.Delivery{Status: "terminated", Was: "pre_hire", Before: bjorn, Body: with(bjorn, body{"employment_status": "terminated", "termination_date": "2026-03-05"})},
			want: `TERM 2026-03-05 employment_status=terminated termination_date=2026-03-05`},
		{name: "postponed, then withdrawn", d: connector.Delivery{Status: "withdrawn", Was: "pre_hire", Before: bjorn, Body: with(bjorn, body{"employment_status": "withdrawn"})},
			want: `TERM 2026-03-02 employment_status=terminated`},
		{name: "withdrawn at once", d: connector.Delivery{Status: "withdrawn", Was: "leave", Before: bjorn, Body: with(bjorn, body{"employment_status": "withdrawn", "given_name": "B"})},
			want: `TERM 2026-03-02 employment_status=terminated`},
		{name: "postponed and told so, then withdrawn", d: connector.Delivery{Status: "withdrawn", Was: "pre_hire", Before: with(bjorn, body{"employment_status": "pre_hire"}), Body: with(bjorn, body{"employment_status": "withdrawn"})}},
		{name: "never told, withdrawn, then terminated", d: connector.Delivery{Status: "terminated", Was: "withdrawn", Before: with(bjorn, body{"employment_status": "withdrawn"}), Body: terminated}},
		{name: "left, then withdrawn", d: connector.Delivery{Status: "withdrawn", Was: "terminated", Before: terminated, Body: with(bjorn, body{"employment_status": "withdrawn"})}},
		{name: "a status that may not be told any more", d: connector.Delivery{Status: "", Was: "active", Before: bjorn, Body: with(bjorn, body{"employment_status": nil})}},

		{name: "a deduction's end and start are taken back", d: differs(with(gus, body{"deductions": []any{body{"code": "A", "amount": "1", "start": "2026-01-01", "end": "2026-06-30"}}}), body{"deductions": []any{body{"code": "A", "amount": "1"}}}),
			want: `DEDUCTION 2026-03-02 deduction_code=A deduction_amount=1 deduction_start=#CLEAR deduction_end=#CLEAR`},
		{name: "a deduction that had ended is gone, and one that would have", d: differs(with(gus, body{"deductions": []any{body{"code": "A", "amount": "1", "end": "2026-02-28"}, body{"code": "B", "amount": "1", "end": "2026-06-30"}}}), body{"deductions": []any{}}),
			want: `DEDUCTION 2026-03-02 deduction_code=B deduction_end=2026-03-02`},
		{name: "two deductions with one code", d: differs(gus, body{"deductions": []any{body{"code": "A", "amount": "1"}, body{"code": "A", "amount": "2"}}}), bad: "same_row_twice deduction_code"},
		{name: "a deduction without a code", d: differs(gus, body{"deductions": []any{body{"amount": "1"}}}), bad: "missing deduction_code"},

		{name: "no number", d: connector.Delivery{Status: "active", Body: with(zoe, body{"employee_number": nil})}, bad: "missing employee_number"},
		{name: "no first day", d: connector.Delivery{Status: "active", Body: with(zoe, body{"hire_date": nil})}, bad: "missing effective_date"},
		{name: "no rate", d: differs(with(soraya, body{"pay_rate": nil}), body{"pay_type": "SALARY"}), bad: "missing pay_rate"},
		{name: "a share", d: differs(gus, body{"deductions": []any{body{"code": "PEN", "percent": "5"}}}), bad: "missing deduction_amount"},
		{name: "two lines", d: differs(zoe, body{"given_name": "Zoë\nT"}), bad: "control_character given_name"},
		{name: "not text", d: differs(zoe, body{"given_name": json.Number("7")}), bad: "not_text given_name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := filesOf(t, map[string]any{"names_in_all_rows": false}).Piece(c.d)
			if c.bad != "" {
				f := fault.Of(err)
				if f == nil || f.Class != fault.Record || f.Reason+" "+f.Path != c.bad {
					t.Fatalf("%v, want %s", err, c.bad)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := shown(t, p); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestNothingKeepsSomebodyPaid: beside a last day no row counts that cannot be
// written, and no value that cannot be cleared.
func TestNothingKeepsSomebodyPaid(t *testing.T) {
	end := body{"termination_date": "2026-03-01"}
	last := `TERM 2026-03-01 employment_status=terminated termination_date=2026-03-01`
	gone := with(zoe, body{"employment_status": "terminated", "termination_date": "2026-02-28", "last_day_worked": "2026-02-20"})
	again := func(more body) connector.Delivery {
		d := left(gone, more)
		d.Was = "terminated"
		return d
	}
	for _, c := range []struct {
		name     string
		settings map[string]any
		d        connector.Delivery
		want     string
		bad      string
	}{
		{name: "address and cost center cleared", d: left(zoe, with(end, body{"work_email": nil, "cost_center": nil})), want: last},
		{name: "another name too", d: left(zoe, with(end, body{"work_email": nil, "family_name": "O'Brien"})),
			want: `NAME 2026-03-02 family_name=O'Brien given_name=Zoë; ` + last},
		{name: "a word that clears", settings: map[string]any{"clear": "#CLEAR"}, d: left(zoe, with(end, body{"work_email": nil})),
			want: `NAME 2026-03-02 family_name=O'Brien-Núñez given_name=Zoë work_email=#CLEAR; ` + last},
		{name: "no pay", d: left(with(zoe, body{"termination_date": "2026-05-01"}), with(end, body{"termination_date": "2026-03-31", "pay_rate": nil})),
			want: `TERM 2026-03-31 employment_status=terminated termination_date=2026-03-31`},
		{name: "a name of two lines", settings: map[string]any{"names_in_all_rows": true}, d: left(zoe, with(end, body{"given_name": "Z\n"})),
			want: `TERM 2026-03-01 family_name=O'Brien-Núñez given_name=Zoë employment_status=terminated termination_date=2026-03-01`},
		{name: "no number", d: left(zoe, with(end, body{"employee_number": nil})), want: last},
		{name: "no last day worked", d: left(with(zoe, body{"last_day_worked": "2026-02-01"}), with(end, body{"last_day_worked": nil})), want: last},
		{name: "a last day that is no text", d: left(zoe, with(end, body{"last_day_worked": json.Number("1")})), want: last},
		{name: "the planned day is gone", d: left(with(zoe, end), body{"termination_date": nil}), want: `TERM 2026-03-02 employment_status=terminated`},
		{name: "deductions", d: left(with(zoe, body{"deductions": []any{body{"code": "A", "amount": "1", "end": "2026-12-31"}, body{"code": "B", "amount": "1"}}}),
			with(end, body{"deductions": []any{body{"code": "A", "amount": "1"}, body{"amount": "1"}, body{"code": "C", "amount": "1"}, body{"code": "C", "percent": "5"}}})),
			want: `DEDUCTION 2026-03-02 deduction_code=A deduction_amount=1; DEDUCTION 2026-03-02 deduction_code=B deduction_end=2026-03-02; ` + last},

		{name: "cleared later", d: again(body{"work_email": nil})},
		{name: "cleared with another day", d: again(body{"work_email": nil, "termination_date": "2026-03-01", "last_day_worked": nil}), want: last},
		{name: "only the last day worked is cleared", d: again(body{"last_day_worked": nil}), bad: "cannot_clear last_day_worked"},
		{name: "pay that cannot be told, later", d: again(body{"pay_rate": nil, "currency": "EUR", "today": "2026-02-27"}), bad: "missing pay_rate"},
		{name: "cleared while employed", d: differs(zoe, body{"work_email": nil}), bad: "cannot_clear work_email"},
		{name: "a deduction's end is taken back", d: differs(with(gus, body{"deductions": []any{body{"code": "A", "amount": "1", "end": "2026-06-30"}}}), body{"deductions": []any{body{"code": "A", "amount": "1"}}}),
			bad: "cannot_clear deduction_end"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := filesOf(t, with(body{"clear": "", "names_in_all_rows": false}, c.settings)).Piece(c.d)
			if f := fault.Of(err); c.bad != "" && (f == nil || f.Class != fault.Record || f.Reason+" "+f.Path != c.bad) || c.bad == "" && err != nil {
				t.Fatalf("%v, want %s", err, c.bad)
			}
			if got := shown(t, p); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
	p, err := filesOf(t, map[string]any{"clear": ""}).Piece(left(zoe, with(end, body{"employee_number": nil})))
	if err != nil || p.Key != "E10482|TERM|2026-03-01" {
		t.Errorf("the row of %q, %v", p.Key, err)
	}
}

// TestOtherSettingsThanWhenStaged: a value stands under its own column however
// the columns have changed since, or the file is not built, for nobody's fault.
func TestOtherSettingsThanWhenStaged(t *testing.T) {
	columns := func(more ...string) map[string]any {
		return map[string]any{"manifest": "", "trailer_line": []string{}, "names_in_all_rows": false, "required_hire": []string{}, "required_pay": []string{},
			"columns": append([]string{"employee_number", "change_type", "effective_date"}, more...)}
	}
	staged := sampleChanges{{Status: "active", Body: with(gus, body{"cost_center": "4410"})}}.pieces(t, filesOf(t, columns("family_name", "given_name", "ssn")))
	for _, c := range []struct {
		name     string
		settings map[string]any
		want     string
		bad      string
	}{
		{"another order, one more, one less that was empty", columns("given_name", "company_code", "family_name", "cost_center"),
			"employee_number,change_type,effective_date,given_name,company_code,family_name,cost_center\r\n00731,HIRE,2020-01-01,\"Ngũgĩ \"\"Gus\"\"\",ALP,\"Smith, Jr.\",\r\n", ""},
		{"one less", columns("family_name"), "", "columns_changed given_name"},
		{"an encoding that has not all characters", with(columns("family_name", "given_name"), body{"encoding": "windows-1252"}), "", "encoding given_name"},
		{"a company that the encoding has no characters for", with(columns("family_name", "given_name", "company_code"), body{"encoding": "windows-1252", "company_code": "ũ"}), "", "encoding company_code"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if strings.HasSuffix(c.bad, "company_code") {
				staged = sampleChanges{{Status: "active", Body: zoe}}.pieces(t, filesOf(t, c.settings))
			}
			got, err := filesOf(t, c.settings).Build(numbering, staged)
			if c.bad != "" {
				f := fault.Of(err)
				if f == nil || f.Class != fault.Target || f.Reason+" "+f.Path != c.bad || strings.Contains(err.Error(), "Gus") {
					t.Fatalf("%v, want %s", err, c.bad)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if s := string(got.Parts[0].Content); s != c.want {
				t.Errorf("got  %q\nwant %q", s, c.want)
			}
		})
	}
	_, err := filesOf(t, nil).Build(numbering, []connector.Piece{{Content: []byte(`[{"key":"k","cells":["a"]}]`)}})
	if f := fault.Of(err); f == nil || f.Class != fault.Target {
		t.Errorf("a piece of another form: %v", err)
	}
}

func shown(t *testing.T, p connector.Piece) string {
	t.Helper()
	if len(p.Content) == 0 {
		return ""
	}
	rows, err := rowsOf(p)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range rows {
		line := r.Values[colChange] + " " + r.Values[colEffective]
		for _, c := range payrollColumns[6:] {
			if v := r.Values[c]; v != "" {
				line += " " + c + "=" + v
			}
		}
		out = append(out, line)
	}
	return strings.Join(out, "; ")
}

// TestRowKeys: a second change of the same kind and day waits for the next
// file; of deductions the code counts too.
func TestRowKeys(t *testing.T) {
	f := filesOf(t, nil)
	p, err := f.Piece(differs(gus, body{"given_name": "Gus", "deductions": []any{body{"code": "A", "amount": "1"}, body{"code": "B", "amount": "1"}}}))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"00731|NAME|2026-03-02", "00731|DEDUCTION|2026-03-02|A", "00731|DEDUCTION|2026-03-02|B"}
	if d := cmp.Diff(want, append([]string{p.Key}, p.Also...)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestOtherAgreements: what a file looks like is configuration.
func TestOtherAgreements(t *testing.T) {
	hired := sampleChanges{{Status: "active", Body: with(zoe, body{"given_name": "Zoë", "grade": "=1+1"})}}
	for _, c := range []struct {
		name     string
		settings map[string]any
		want     string
	}{
		{"semicolons, line feeds, no trailer", map[string]any{"delimiter": "semicolon", "line_ending": "lf", "trailer_line": []string{}, "columns": []string{"employee_number", "change_type", "effective_date", "family_name"}},
			"employee_number;change_type;effective_date;family_name\nE10482;HIRE;2026-02-16;O'Brien-Núñez\n"},
		{"a mark, and a column of the company's own, which no spreadsheet opens", map[string]any{"byte_order_mark": true, "trailer_line": []string{"END", "{rows}"}, "columns": []string{"employee_number", "change_type", "effective_date", "grade"}},
			"\xef\xbb\xbfemployee_number,change_type,effective_date,grade\r\nE10482,HIRE,2026-02-16,=1+1\r\nEND,1\r\n"},
		{"Windows-1252", map[string]any{"encoding": "windows-1252", "trailer_line": []string{}, "columns": []string{"employee_number", "change_type", "effective_date", "given_name"}},
			"employee_number,change_type,effective_date,given_name\r\nE10482,HIRE,2026-02-16,Zo\xeb\r\n"},
		{"UTF-16", map[string]any{"encoding": "utf-16le", "byte_order_mark": true, "line_ending": "lf", "trailer_line": []string{}, "columns": []string{"employee_number", "change_type", "effective_date"}, "required_hire": []string{}, "required_pay": []string{}},
			"\xff\xfee\x00m\x00p\x00l\x00o\x00y\x00e\x00e\x00_\x00n\x00u\x00m\x00b\x00e\x00r\x00,\x00c\x00h\x00a\x00n\x00g\x00e\x00_\x00t\x00y\x00p\x00e\x00,\x00e\x00f\x00f\x00e\x00c\x00t\x00i\x00v\x00e\x00_\x00d\x00a\x00t\x00e\x00\n\x00" +
				"E\x001\x000\x004\x008\x002\x00,\x00H\x00I\x00R\x00E\x00,\x002\x000\x002\x006\x00-\x000\x002\x00-\x001\x006\x00\n\x00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			base := map[string]any{"manifest": "", "names_in_all_rows": false, "required_hire": []string{"employee_number"}, "required_pay": []string{"employee_number"}}
			f := filesOf(t, with(base, c.settings))
			got, err := f.Build(numbering, hired.pieces(t, f))
			if err != nil || len(got.Parts) != 1 {
				t.Fatalf("%d parts, %v", len(got.Parts), err)
			}
			if s := string(got.Parts[0].Content); s != c.want {
				t.Errorf("got  %q\nwant %q", s, c.want)
			}
		})
	}
	_, err := filesOf(t, map[string]any{"encoding": "windows-1252"}).Piece(changes[2])
	if f := fault.Of(err); f == nil || f.Class != fault.Record || f.Reason != "encoding" || f.Path != "given_name" {
		t.Errorf("ũ in Windows-1252: %v", err)
	}
}

// TestAgreementsThatCannotBe are told before anything is sent.
func TestAgreementsThatCannotBe(t *testing.T) {
	for word, bad := range map[string]map[string]any{
		"company_code":   {"company_code": ""},
		"file_name":      {"file_name": "changes.csv"},
		"columns":        {"columns": []string{"employee_number", "employee_number"}},
		"effective_date": {"columns": []string{"employee_number", "change_type"}},
		"required_pay":   {"required_pay": []string{"shoe_size"}},
		"manifest":       {"manifest": "manifest.json"},
		"rejects_name":   {"rejects_name": "in/{name}.csv"},
	} {
		_, err := Type.Files(connector.Account{BaseURL: "sftp://127.0.0.1", Settings: alpine(bad), Secrets: map[string]secret.Value{"private_key": secret.New(vendorfake.ClientKey())}})
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v", word, err)
		}
	}
}

func TestShippedTargetMapping(t *testing.T) {
	m := mappingtest.Shipped(t, "csv", Type.ToVendor, mapping.ToVendor)
	mappingtest.Cases(t, m, "testdata/map/*.txtar")
}

// TestPayrollAtARealServer: the sample goes to a real OpenSSH twice, and the answers of
// the receiver's guide come back: line 4 is the person with the deduction.
func TestPayrollAtARealServer(t *testing.T) {
	s := sshd.Start(t)
	for _, folder := range []string{"in", "answers"} {
		if err := os.Mkdir(filepath.Join(s.Folder, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	f, err := Type.Files(connector.Account{
		BaseURL:  "sftp://" + s.Address,
		Settings: alpine(map[string]any{"user": s.User, "host_key": []string{s.HostKey}, "folder": "in", "ack_folder": "answers"}),
		Secrets:  map[string]secret.Value{"private_key": secret.New(s.PrivateKey)},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := built(t, f)
	for range 2 {
		if err := f.Put(t.Context(), file); err != nil {
			t.Fatal(err)
		}
	}
	left, err := os.ReadDir(filepath.Join(s.Folder, "in"))
	if err != nil || len(left) != 2 {
		t.Fatalf("%d files are there, %v", len(left), err)
	}
	for _, p := range file.Parts {
		if got, err := os.ReadFile(filepath.Join(s.Folder, "in", p.Name)); err != nil || string(got) != string(p.Content) {
			t.Errorf("%s is not what was built: %v", p.Name, err)
		}
	}
	ask := []connector.Sent{sentOf(t, f, file)}
	lay := func(name string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(s.Folder, "answers", name), []byte(vendorFile(t, name)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	none := func(when string) {
		t.Helper()
		if got, err := f.Answers(t.Context(), ask); err != nil || len(got) > 0 {
			t.Errorf("%s: %+v, %v", when, got, err)
		}
	}
	none("before the answer")
	lay(sampleFile + ".ack.json")
	none("before the rejects that it names")
	begun := "line_number,employee_number,field,code,message,original_row\r\n"
	uncounted := strings.NewReplacer(`"rejected": 1`, `"rejected": 0`).Replace(vendorFile(t, sampleFile+".ack.json"))
	for name, text := range map[string]string{sampleFile + ".rejects.csv": begun, sampleFile + ".ack.json": uncounted} {
		if err := os.WriteFile(filepath.Join(s.Folder, "answers", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	none("before a line of the rejects, of which no number was told")
	lay(sampleFile + ".ack.json")
	none("before a line of the rejects")
	lay(sampleFile + ".rejects.csv")
	got, err := f.Answers(t.Context(), ask)
	if err != nil || len(got) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	want := []connector.Refusal{{Index: 2, Reason: "unknown_code", Path: "deduction_code", Rule: "line 4"}}
	if d := cmp.Diff(want, got[0].Refused); d != "" || got[0].Number != 187 {
		t.Errorf("answer to %d (-want +got):\n%s", got[0].Number, d)
	}
	check, err := Type.Check(connector.Account{BaseURL: "sftp://" + s.Address, Settings: alpine(map[string]any{"user": s.User, "host_key": []string{s.HostKey}, "folder": "elsewhere"}), Secrets: map[string]secret.Value{"private_key": secret.New(s.PrivateKey)}})
	if err != nil {
		t.Fatal(err)
	}
	if f := fault.Of(check.Check(t.Context())); f == nil || f.Class != fault.Target {
		t.Errorf("a folder that is not there: %v", f)
	}
}

func sentOf(t *testing.T, f connector.Files, file connector.File) connector.Sent {
	t.Helper()
	all := changes.pieces(t, f)
	return connector.Sent{Number: 187, Names: []string{file.Parts[0].Name, file.Parts[1].Name}, At: numbering.At, Starts: file.Starts,
		Piece: func(_ context.Context, i int) (connector.Piece, error) { return all[i], nil }}
}

// TestRejectsAreTied by line and by key, and where the two differ by key.
func TestRejectsAreTied(t *testing.T) {
	f := filesOf(t, nil)
	file := built(t, f)
	o, tg := sentOf(t, f, file), f.(*target)
	for _, c := range []struct {
		line   int
		number string
		want   int
	}{{4, "00731", 2}, {2, "E10482", 0}, {3, "00731", 2}, {9, "E10217", 3}, {4, "E99999", -1}} {
		got, err := tg.tie(t.Context(), o, rejectedRow{line: c.line, number: c.number})
		if c.want < 0 {
			if x := fault.Of(err); x == nil || x.Class != fault.Target || strings.Contains(err.Error(), c.number) {
				t.Errorf("line %d of %s: %d, %v", c.line, c.number, got, err)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("line %d of %s: %d, %v, want %d", c.line, c.number, got, err, c.want)
		}
	}
	for _, bad := range []string{"", "a,b\r\n1,2\r\n", "line_number,employee_number\r\nx,1\r\n", "line_number,employee_number\r\n\"1\r\n"} {
		if _, err := tg.rejected([]byte(bad)); fault.Of(err) == nil || fault.Of(err).Class != fault.Target {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestNothingIsDecidedWithoutAPiece: only who was erased is known by their line
// alone.
func TestNothingIsDecidedWithoutAPiece(t *testing.T) {
	f := filesOf(t, nil)
	o, tg := sentOf(t, f, built(t, f)), f.(*target)
	all := o.Piece
	for _, c := range []struct {
		missing int
		err     error
		row     rejectedRow
		want    int // -1: it is not decided
	}{
		{2, seal.ErrNoKey, rejectedRow{line: 4, number: "00731"}, 2},
		{2, context.DeadlineExceeded, rejectedRow{line: 4, number: "00731"}, -1},
		{0, seal.ErrNoKey, rejectedRow{line: 3, number: "00731"}, 2},
		{0, context.DeadlineExceeded, rejectedRow{line: 3, number: "00731"}, -1},
	} {
		o.Piece = func(ctx context.Context, i int) (connector.Piece, error) {
			if i == c.missing {
				return connector.Piece{}, fmt.Errorf("piece: %w", c.err)
			}
			return all(ctx, i)
		}
		got, err := tg.tie(t.Context(), o, c.row)
		if c.want >= 0 && (err != nil || got != c.want) {
			t.Errorf("piece %d is gone, line %d: %d, %v, want %d", c.missing, c.row.line, got, err, c.want)
		}
		if c.want < 0 && !errors.Is(err, c.err) {
			t.Errorf("piece %d cannot be read, line %d: %d, %v", c.missing, c.row.line, got, err)
		}
	}
}

func FuzzRejects(f *testing.F) {
	f.Add([]byte("line_number,employee_number,field,code,message,original_row\r\n4,00731,deduction_code,UNKNOWN_CODE,x,\"D,ALP\"\r\n"))
	tg, err := newTarget(connector.Account{Settings: alpine(nil)})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		rows, err := tg.rejected(raw)
		if err != nil && fault.Of(err) == nil {
			t.Errorf("%v is no fault", err)
		}
		for _, r := range rows {
			if w := word(r.code); len(w) > 40 || strings.ContainsAny(w, " ,@") {
				t.Errorf("the reason %q", w)
			}
		}
	})
}

// TestPromises are those of every connector of files.
func TestPromises(t *testing.T) {
	settings := alpine(map[string]any{"folder": "in", "ack_folder": "answers", "encryption": map[string]string{}, "deduction_codes": "DEN"})
	filestest.Run(t, filestest.Setup{
		Type: Type, Settings: settings,
		Changes: []connector.Delivery{
			{ID: "emp_01HZX9", Status: "active", Body: zoe},
			{ID: "emp_01HB77", Status: "active", Body: with(gus, body{"deductions": []any{body{"code": "MED", "amount": "1.00"}}})},
			{ID: "emp_01HQ21", Status: "active", Body: with(soraya, body{"given_name": filestest.Planted})},
		},
		Nothing: []connector.Delivery{differs(soraya, body{}), {ID: "p", Status: "pre_hire", Body: zoe}},
		Wrong:   []connector.Delivery{{ID: "w", Status: "active", Body: with(zoe, body{"given_name": filestest.Planted + "\n"})}},
		Answer:  func(*testing.T, fake.Vendor, connector.File, int64) {}, // the fake answers by itself
	})
}
