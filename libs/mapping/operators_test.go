package mapping_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/mapping"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func parse(t testing.TB, src string, o mapping.Options) *mapping.Mapping {
	t.Helper()
	m, problems := mapping.Parse("m.yaml", []byte(src), o)
	for _, p := range problems {
		t.Error(p)
	}
	if m == nil {
		t.FailNow()
	}
	return m
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestSourceOperators runs one rule over one record; want is the observation's
// fields or "error at <path> (<rule>): <what>".
func TestSourceOperators(t *testing.T) {
	tests := map[string]struct{ rule, record, want string }{
		"short form":                    {`username: a.b`, `{"a": {"b": " x "}}`, `{"username":"x"}`},
		"absent is not said":            {`username: a.b`, `{"a": {}}`, `{}`},
		"null is cleared":               {`username: a.b`, `{"a": {"b": null}}`, `{"username":null}`},
		"a null parent is cleared":      {`username: a.b`, `{"a": null}`, `{"username":null}`},
		"empty text is cleared":         {`username: a`, `{"a": "  "}`, `{"username":null}`},
		"a PHP map is not said":         {`username: a.b`, `{"a": []}`, `{}`},
		"through text":                  {`username: a.b`, `{"a": "x"}`, `error at a.b (username: from): text, not what the path goes through`},
		"first with a value":            {`username: [a, b]`, `{"a": null, "b": "x"}`, `{"username":"x"}`},
		"from list, old form":           {`username: {from: ['a.value', a]}`, `{"a": "x"}`, `{"username":"x"}`},
		"none has a value":              {`username: {from: [a, b]}`, `{"a": null}`, `{"username":null}`},
		"quoted name":                   {`username: '"First Name".value'`, `{"First Name": {"value": "x"}}`, `{"username":"x"}`},
		"last element":                  {`username: a[-1]`, `{"a": ["x", "y"]}`, `{"username":"y"}`},
		"out of range":                  {`username: a[3]`, `{"a": ["x", "y"]}`, `{}`},
		"filter trims":                  {`username: 'a[t=other].v'`, `{"a": [{"t": "x", "v": "1"}, {"t": "other ", "v": "2"}]}`, `{"username":"2"}`},
		"filter not":                    {`username: 'a[t!=x].v'`, `{"a": [{"t": "x", "v": "1"}, {"t": "y", "v": "2"}]}`, `{"username":"2"}`},
		"filter and index":              {`username: 'a[t=x][1].v'`, `{"a": [{"t": "x", "v": "1"}, {"t": "x", "v": "2"}]}`, `{"username":"2"}`},
		"no match":                      {`username: 'a[t=z].v'`, `{"a": [{"t": "x", "v": "1"}]}`, `{}`},
		"in force":                      {`username: 'a[in_force:d].v'`, `{"a": [{"d": "2026-08-01", "v": "later"}, {"d": "2026-07-01", "v": "now"}, {"d": "2020-01-01", "v": "old"}]}`, `{"username":"now"}`},
		"none in force":                 {`username: 'a[in_force:d].v'`, `{"a": [{"d": "2026-08-01", "v": "later"}, {"d": "0000-00-00", "v": "no"}]}`, `{}`},
		"number is no text":             {`username: a`, `{"a": 7}`, `error at a (username: text): a number, not text`},
		"text without exponent":         {`username: {from: a, text: true}`, `{"a": 5.9120077e7}`, `{"username":"59120077"}`},
		"const":                         {`employment.type: {const: intern}`, `{}`, `{"employment":{"type":"intern"}}`},
		"const in short form":           {`employment.rehire_eligible: true`, `{}`, `{"employment":{"rehire_eligible":true}}`},
		"const null clears":             {`username: {const: null}`, `{}`, `{"username":null}`},
		"event root":                    {`username: $event`, `{}`, `{"username":"hired"}`},
		"key root":                      {`employee_number: $key`, `{}`, `{"employee_number":"117"}`},
		"record root":                   {`username: $record.a`, `{"a": "x"}`, `{"username":"x"}`},
		"source in a key":               {`external.$source: a`, `{"a": 12}`, `{"external":{"src":["12"]}}`},
		"map":                           {`gender: {from: a, map: {F: female, M: male}}`, `{"a": "f"}`, `{"gender":"female"}`},
		"map true":                      {`username: {from: a, map: {true: "yes"}}`, `{"a": true}`, `{"username":"yes"}`},
		"map misses":                    {`gender: {from: a, map: {F: female}}`, `{"a": "secret"}`, `error at a (gender: map): text that the map does not list`},
		"map else":                      {`gender: {from: a, map: {F: female}, else: other}`, `{"a": "x"}`, `{"gender":"other"}`},
		"map else keep":                 {`gender: {from: a, map: {F: female}, else: keep}`, `{"a": "male"}`, `{"gender":"male"}`},
		"map else keep, not one of":     {`gender: {from: a, map: {F: female}, else: keep}`, `{"a": "x"}`, `error at a (gender: enum): text, not one of female, male, non_binary, other, undisclosed`},
		"map to nothing":                {`gender: {from: a, map: {F: female, "?": $none}}`, `{"a": "?"}`, `{}`},
		"map to null":                   {`gender: {from: a, map: {F: female, "?": null}}`, `{"a": "?"}`, `{"gender":null}`},
		"day":                           {`birth_date: a`, `{"a": "2026-02-29"}`, `error at a (birth_date: day): text, not a day`},
		"day from a number":             {`birth_date: a`, `{"a": 20260229}`, `error at a (birth_date: day): a number, not a day`},
		"date layouts":                  {`birth_date: {from: a, date: ["2006-01-02", "01/02/2006"]}`, `{"a": "02/28/1990"}`, `{"birth_date":"1990-02-28"}`},
		"date never shifts":             {`birth_date: {from: a, date: iso}`, `{"a": "1990-02-28T23:30:00-08:00"}`, `{"birth_date":"1990-02-28"}`},
		"date unix":                     {`birth_date: {from: a, date: unix_ms}`, `{"a": 636163200000}`, `{"birth_date":"1990-02-28"}`},
		"date misfit":                   {`birth_date: {from: a, date: iso}`, `{"a": "soon"}`, `error at a (birth_date: date): text, not a day in the expected layout`},
		"empty":                         {`birth_date: {from: a, empty: ["0000-00-00"]}`, `{"a": "0000-00-00"}`, `{"birth_date":null}`},
		"lower, upper":                  {`work_email: {from: a, lower: true}`, `{"a": "A@B"}`, `{"work_email":"a@b"}`},
		"ascii":                         {`username: {from: a, ascii: true, lower: true}`, `{"a": "Żółty Straße Ærø O’Hé"}`, `{"username":"zolty strasse aero o'he"}`},
		"NFC":                           {`username: a`, `{"a": "e\u0301"}`, `{"username":"é"}`},
		"decimal number":                {`positions[primary].fte: a`, `{"a": 0.50}`, `{"positions":[{"fte":"0.50","primary":true}]}`},
		"decimal comma":                 {`compensation.amount: {from: a, decimal: ","}`, `{"a": "1.234,50"}`, `{"compensation":{"amount":"1234.50"}}`},
		"decimal places":                {`compensation.amount: {from: a, decimal: 2}`, `{"a": 72000}`, `{"compensation":{"amount":"72000.00"}}`},
		"decimal misfit":                {`compensation.amount: {from: a, decimal: true}`, `{"a": "1,2,3"}`, `error at a (compensation.amount: decimal): text, not a decimal number`},
		"number":                        {`custom.n: {from: a, number: true}`, `{"a": "007.50"}`, `{"custom":{"n":7.50}}`},
		"money text":                    {"compensation.amount: {from: a, money: amount}\n  compensation.currency: {from: a, money: currency}", `{"a": "EUR 72,000.00"}`, `{"compensation":{"amount":"72000.00","currency":"EUR"}}`},
		"money empty":                   {`compensation.amount: {from: a, money: amount}`, `{"a": " USD"}`, `{"compensation":{"amount":null}}`},
		"money object":                  {`compensation.currency: {from: a, money: currency}`, `{"a": {"currency": "EUR", "value": "1"}}`, `{"compensation":{"currency":"EUR"}}`},
		"phone":                         {`phones[work].number: {from: a, phone: PL}`, `{"a": "600 555 103"}`, `{"phones":[{"kind":"work","number":"+48600555103"}]}`},
		"phone as given":                {`phones[work].number: {from: a, phone: true}`, `{"a": "600 555 103"}`, `{"phones":[{"kind":"work","number":"600 555 103"}]}`},
		"phone extension":               {`phones[work].extension: {from: a, phone: {region: US, take: extension}}`, `{"a": "(212) 555-0100 ext. 22"}`, `{"phones":[{"extension":"22","kind":"work"}]}`},
		"country":                       {`employment.country: {from: a, country: true}`, `{"a": "Poland"}`, `{"employment":{"country":"PL"}}`},
		"country alpha-3":               {`employment.country: {from: a, country: true}`, `{"a": "IRL"}`, `{"employment":{"country":"IE"}}`},
		"country misfit":                {`employment.country: {from: a, country: true}`, `{"a": "Mordor"}`, `error at a (employment.country: country): text, not a country`},
		"country code only":             {`employment.country: a`, `{"a": "pl"}`, `error at a (employment.country: country): text, not a country code`},
		"split":                         {"name.given: {from: a, split: given}\n  name.family: {from: a, split: family}", `{"a": "Anna Maria  Nowak"}`, `{"name":{"family":"Nowak","given":"Anna Maria"}}`},
		"split at comma":                {"name.given: {from: a, split: given}\n  name.family: {from: a, split: family}", `{"a": "de Vries, Jan"}`, `{"name":{"family":"de Vries","given":"Jan"}}`},
		"split by":                      {`username: {from: a, split: {by: "|", take: -1}}`, `{"a": "x|y"}`, `{"username":"y"}`},
		"join":                          {`addresses[home].unparsed: {join: [a, b, c], with: ", "}`, `{"a": "x", "b": "", "c": "z"}`, `{"addresses":[{"kind":"home","unparsed":"x, z"}]}`},
		"template":                      {`username: {template: "{{{a}}}-{b}"}`, `{"a": "x", "b": 7}`, `{"username":"{x}-7"}`},
		"template with a gap":           {`username: {template: "{a}-{b}"}`, `{"a": "x"}`, `{}`},
		"default":                       {`username: {from: a, default: x}`, `{"a": null}`, `{"username":"x"}`},
		"required":                      {`username: {from: a, required: true}`, `{}`, `error at a (username: required): nothing, but the field is required`},
		"when":                          {`username: {from: a, when: 'event == "fired"'}`, `{"a": "x"}`, `{}`},
		"when on what is not said":      {`username: {from: a, when: 'record.b != "x"'}`, `{"a": "x"}`, `{}`},
		"alternatives with when":        {`username: [{from: a, when: 'event == "fired"'}, {from: b}]`, `{"a": "x", "b": "y"}`, `{"username":"y"}`},
		"each":                          {`phones: {each: p, where: 'item.t != "fax"', fields: {kind: {from: t, map: {m: mobile}, else: home}, number: n}}`, `{"p": [{"t": "m", "n": "1"}, {"t": "fax", "n": "2"}, {"t": "?", "n": "3"}]}`, `{"phones":[{"kind":"mobile","number":"1"},{"kind":"home","number":"3"}]}`},
		"each keeps one per kind":       {`phones: {each: p, fields: {kind: {const: home}, number: n}}`, `{"p": [{"n": null}, {"n": "2"}, {"n": "3"}]}`, `{"phones":[{"kind":"home","number":"2"}]}`},
		"each names the element":        {`phones: {each: x.p, fields: {kind: t, number: n}}`, `{"x": {"p": [{"t": "home"}, {"t": "home", "n": 5}]}}`, `error at x.p[1].n (phones[].number: text): a number, not text`},
		"each of nothing":               {`training: {each: p, fields: {course: c}}`, `{"p": []}`, `{"training":[]}`},
		"each within each":              {`dependants: {each: d, fields: {id: i, name.given: g, national_ids: {each: n, fields: {country: {const: US}, kind: {const: ssn}, value: v}}}}`, `{"d": [{"i": "1", "g": "A", "n": [{"v": "9"}]}]}`, `{"dependants":[{"id":"1","name":{"given":"A"},"national_ids":[{"country":"US","kind":"ssn","value":"9"}]}]}`},
		"each within each, misfit":      {`dependants: {each: d, fields: {id: i, national_ids: {each: n, fields: {value: v}}}}`, `{"d": [{"n": [{"v": "9"}, {"v": 9}]}]}`, `error at d[0].n[1].v (dependants[].national_ids[].value: text): a number, not text`},
		"lists":                         {`addresses[work].lines: {list: [a, b]}`, `{"a": "x", "b": null}`, `{"addresses":[{"kind":"work","lines":["x"]}]}`},
		"all of":                        {`custom.l: 'a[*].v'`, `{"a": [{"v": "1"}, {}, {"v": "2"}]}`, `{"custom":{"l":["1","2"]}}`},
		"manager":                       {`positions[primary].manager: a`, `{"a": 88}`, `{"positions":[{"manager":{"external_id":"88","source":"src"},"primary":true}]}`},
		"manager by number":             {`positions[primary].manager: {from: a, by: employee_number}`, `{"a": "088"}`, `{"positions":[{"manager":{"employee_number":"088"},"primary":true}]}`},
		"manager by path":               {`positions[primary].manager.work_email: a`, `{"a": "b@c"}`, `{"positions":[{"manager":{"work_email":"b@c"},"primary":true}]}`},
		"whole objects":                 {`compensation: c`, `{"c": {"amount": 5, "currency": "EUR"}}`, `{"compensation":{"amount":"5","currency":"EUR"}}`},
		"whole objects, unknown member": {`compensation: c`, `{"c": {"sum": 5}}`, `error at c (compensation: object): an object with a member that compensation does not have`},
		"two primaries":                 {`positions: p`, `{"p": [{"primary": true}, {"primary": true}]}`, `error at  (positions: primary): more than one primary position`},
		"national id":                   {`national_ids[US/ssn].value: s`, `{"s": "1"}`, `{"national_ids":[{"country":"US","kind":"ssn","value":"1"}]}`},
		"cel":                           {`username: {cel: 'lower(ascii(record.a)) + text(record.b)'}`, `{"a": "Łó", "b": 3}`, `{"username":"lo3"}`},
		"cel on what is not said":       {`username: {cel: 'record.a + record.b'}`, `{"a": "x"}`, `{}`},
		"cel on another kind":           {`username: {cel: 'lower(record.a)'}`, `{"a": 7}`, `error at a (username: cel): a kind of value that the expression cannot use`},
		"first_of, said":                {`username: {cel: 'said(record.x.y) ? "a" : first_of(record.x.y, record.e, record.z)'}`, `{"e": "", "z": "zed"}`, `{"username":"zed"}`},
		"days":                          {`custom.n: {cel: 'days_between("2026-02-27", add_days("2026-02-27", 3))'}`, `{}`, `{"custom":{"n":3}}`},
		"cel list":                      {`custom.l: {cel: 'record.a.filter(x, x.v > 1).map(x, x.n)'}`, `{"a": [{"v": 1, "n": "x"}, {"v": 2, "n": "y"}]}`, `{"custom":{"l":["y"]}}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := parse(t, "custom: {n: basic, l: basic}\nfields:\n  "+tt.rule, mapping.Options{Source: "src"})
			got, err := m.Observe(connector.Record{Key: "117", Event: "hired", Body: json.RawMessage(tt.record)}, noon)
			have := ""
			if err != nil {
				var f *fault.Error
				if !errors.As(err, &f) || f.Class != fault.Record || f.Reason != "mapping" {
					t.Fatalf("error %v is no fault of class record", err)
				}
				have = "error at " + f.Path + " (" + f.Rule + "): " + f.Err.Error()
			} else {
				have = asJSON(t, got.Fields)
			}
			if d := cmp.Diff(tt.want, have); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

func TestBodyOperators(t *testing.T) {
	person := `{"id": "01A", "username": "ann", "work_email": null, "name": {"given": "Ann"}, "birth_date": "1990-02-28",
		"employment": {"status": "active", "country": "PL"}, "compensation": {"amount": "72000.50", "currency": "EUR"},
		"positions": [{"id": "p1", "title": "Other"}, {"primary": true, "title": "Engineer", "manager": "01M"}],
		"phones": [{"kind": "work", "number": "+1"}, {"kind": "mobile", "number": "+2"}], "external": {"okta": ["00u"]}, "custom": {"n": 7}}`
	tests := map[string]struct{ rule, want string }{
		"short":             {`a.b: name.given`, `{"a":{"b":"Ann"}}`},
		"absent":            {`a: name.family`, `{}`},
		"null":              {`a: work_email`, `{"a":null}`},
		"primary":           {`a: positions[primary].title`, `{"a":"Engineer"}`},
		"position by id":    {`a: positions[p1].title`, `{"a":"Other"}`},
		"by kind":           {`a: phones[mobile].number`, `{"a":"+2"}`},
		"external":          {`a: external.okta[0]`, `{"a":"00u"}`},
		"external of own":   {`a: external.$source[0]`, `{"a":"00u"}`},
		"ref":               {`a: {ref: "positions[primary].manager"}`, `{"a":"theirs"}`},
		"ref in short":      {`a: {from: "positions[primary].manager", ref: true}`, `{"a":"theirs"}`},
		"roots":             {"a: $id\n  b: $status\n  c: $verb\n  d: $account", `{"a":"01A","b":"active","c":"hired","d":"okta"}`},
		"number":            {`a: {from: compensation.amount, number: true}`, `{"a":72000.50}`},
		"custom number":     {`a: custom.n`, `{"a":7}`},
		"date":              {`a: {from: birth_date, date: 02.01.2006}`, `{"a":"28.02.1990"}`},
		"country name":      {`a: {from: employment.country, country: name}`, `{"a":"Poland"}`},
		"country alpha-3":   {`a: {from: employment.country, country: alpha3}`, `{"a":"POL"}`},
		"quoted key":        {`'"urn:x:2.0:User".dept': {const: 5}`, `{"urn:x:2.0:User":{"dept":5}}`},
		"list by number":    {"'e[1].v': name.given\n  'e[0].v': name.family", `{"e":[{"v":"Ann"}]}`},
		"list by kind":      {"'e[type=work].value': username\n  'e[type=work].primary': true", `{"e":[{"primary":true,"type":"work","value":"ann"}]}`},
		"const list":        {`a: {const: [x, {y: 1}]}`, `{"a":["x",{"y":1}]}`},
		"each":              {`a: {each: phones, where: 'item.kind == "work"', fields: {n: number, k: {from: kind, upper: true}, who: $employee.username}}`, `{"a":[{"k":"WORK","n":"+1","who":"ann"}]}`},
		"all of":            {`a: phones[*].number`, `{"a":["+1","+2"]}`},
		"cel":               {`a: {cel: 'employee.name.given + " " + primary(positions).title'}`, `{"a":"Ann Engineer"}`},
		"cel on absent":     {`a: {cel: 'name.given + name.family'}`, `{}`},
		"cel on cleared":    {`a: {cel: 'lower(work_email)'}`, `{"a":null}`},
		"cel first_of":      {`a: {cel: 'first_of(name.preferred, work_email, name.given)'}`, `{"a":"Ann"}`},
		"cel has":           {`a: {cel: 'has(name.family) ? name.family : "-"'}`, `{"a":"-"}`},
		"cel has, no above": {`a: {cel: 'has(employee.compensation.period) || said(employee.employment.leave.kind)'}`, `{"a":false}`},
		"template":          {`a: {template: "{name.given} ({positions[primary].title})"}`, `{"a":"Ann (Engineer)"}`},
		"when":              {`a: {from: username, when: 'employment.status == "terminated"'}`, `{}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := parse(t, "fields:\n  "+tt.rule, mapping.Options{Direction: mapping.ToVendor, Source: "okta"})
			var e map[string]any
			d := json.NewDecoder(strings.NewReader(person))
			d.UseNumber()
			if err := d.Decode(&e); err != nil {
				t.Fatal(err)
			}
			got, flags, err := m.Body(e, mapping.Input{Account: "okta", ID: "01A", Type: "hr.employee.hired.v1", Ref: func(id string) (string, bool) {
				return "theirs", id == "01M"
			}}, noon)
			if err != nil || len(flags.WaitsFor) > 0 {
				t.Fatalf("error %v, flags %v", err, flags)
			}
			if d := cmp.Diff(tt.want, asJSON(t, got)); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

func TestUnresolvedReferenceIsWaitedFor(t *testing.T) {
	m := parse(t, "fields: {m: {ref: 'positions[primary].manager'}}", mapping.Options{Direction: mapping.ToVendor})
	e := map[string]any{"positions": []any{map[string]any{"primary": true, "manager": "01M"}}}
	body, flags, err := m.Body(e, mapping.Input{}, noon)
	if err != nil || len(body) != 0 || !cmp.Equal(flags.WaitsFor, []string{"01M"}) {
		t.Errorf("body %v, flags %v, error %v", body, flags, err)
	}
}

func TestPartialRecordsGetNoDefaults(t *testing.T) {
	m := parse(t, "effective: d\nfields:\n  username: {from: a, default: x}\n  employee_number: {from: b, required: true}", mapping.Options{})
	for _, rec := range []connector.Record{{Partial: true}, {Deleted: true}, {Partial: true, Body: json.RawMessage(`{"d": "2026-01-02"}`)}} {
		got, err := m.Observe(rec, noon)
		if err != nil || len(got.Fields) != 0 || (got.Effective != "") != (rec.Body != nil) {
			t.Errorf("%+v gives %+v, error %v", rec, got, err)
		}
	}
	if _, err := m.Observe(connector.Record{Body: json.RawMessage(`{} {}`)}, noon); fault.Of(err).Class != fault.Record {
		t.Errorf("two values are no record: %v", err)
	}
}

func TestErrorsHoldNoValues(t *testing.T) {
	const secret = "s3cr3t"
	m := parse(t, `fields:
  birth_date: {from: a, date: iso}
  compensation.amount: {from: b, money: amount}
  gender: {from: c, map: {x: male}}
  username: {cel: 'lower(record.d)'}
  work_email: {cel: 'record.e[0]'}
  personal_email: {cel: 'string(record.f / 0)'}
`, mapping.Options{})
	for _, body := range []string{`{"a": "s3cr3t"}`, `{"b": "s3cr3t"}`, `{"c": "s3cr3t"}`, `{"d": {"s3cr3t": 1}}`, `{"e": {"s3cr3t": 1}}`, `{"f": "s3cr3t"}`, `{"a": s3cr3t}`} {
		_, err := m.Observe(connector.Record{Body: json.RawMessage(body)}, noon)
		if err == nil && !strings.HasPrefix(body, `{"e"`) {
			t.Errorf("%s is no error", body)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the value is in the error: %v", err)
		}
	}
}
