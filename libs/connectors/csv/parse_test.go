package csv

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/mapping"
)

func sample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/vendor/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func settings(kv ...any) map[string]any {
	out := map[string]any{}
	for name, s := range Type.Settings {
		if s.Default != nil {
			out[name] = s.Default
		}
	}
	out["kind"], out["key"] = full, "id"
	for i := 0; i+1 < len(kv); i += 2 {
		out[kv[i].(string)] = kv[i+1]
	}
	return out
}

func newFeed(t testing.TB, kv ...any) feed {
	t.Helper()
	f, err := read(connector.Account{Settings: settings(kv...)})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// utf16le is a text as spreadsheets save "Unicode text".
func utf16le(s string) string {
	out := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(s)) {
		out = append(out, byte(u), byte(u>>8))
	}
	return string(out)
}

// listing is a table in a form to compare.
func (t *table) listing(f feed) (out []string) {
	for _, it := range t.items {
		r, err := f.record(t, it, connector.Version{})
		if err != nil {
			return []string{err.Error()}
		}
		out = append(out, r.Key+" "+string(r.Body))
	}
	for _, bad := range t.faults {
		out = append(out, "! "+bad.path()+" "+bad.reason)
	}
	return out
}

const roster = "id,family,given\r\n"

// TestParse: what becomes of a file: its records and rejected rows, or the
// reason why it is refused.
func TestParse(t *testing.T) {
	one := []string{`7 {"family":"Ünal","given":"Ada","id":"7"}`}
	lax := []any{"max_rejected_percent", 100}
	for name, c := range map[string]struct {
		kv   []any
		file string
		want []string // nil: refused
		why  string
	}{
		"plain":                                  {nil, roster + "7,Ünal,Ada\r\n", one, ""},
		"without a last line end":                {nil, roster + "7,Ünal,Ada", one, ""},
		"line feeds":                             {nil, "id,family,given\n7,Ünal,Ada\n", one, ""},
		"carriage returns":                       {nil, "id,family,given\r7,Ünal,Ada\r", one, ""},
		"a mark":                                 {nil, "\xef\xbb\xbf" + roster + "7,Ünal,Ada\r\n", one, ""},
		"a mark and a quoted header":             {nil, "\xef\xbb\xbf\"id\",family,given\r\n7,Ünal,Ada\r\n", one, ""},
		"windows-1252":                           {[]any{"encoding", "windows-1252"}, roster + "7,\xdcnal,Ada\r\n", one, ""},
		"windows-1252 read as UTF-8":             {nil, roster + "7,\xdcnal,Ada\r\n", nil, "encoding"},
		"UTF-8 read as windows-1252 with a mark": {[]any{"encoding", "windows-1252"}, "\xef\xbb\xbf" + roster + "7,x,y\r\n", nil, "encoding"},
		"no character of windows-1252":           {[]any{"encoding", "windows-1252"}, roster + "7,\x81,y\r\n", nil, "encoding"},
		"utf-16le":                               {[]any{"encoding", "utf-16le"}, utf16le(roster + "7,Ünal,Ada\r\n"), one, ""},
		"utf-16le outside the plane":             {[]any{"encoding", "utf-16le"}, utf16le(roster + "7,𝒰,Ada\r\n"), []string{`7 {"family":"𝒰","given":"Ada","id":"7"}`}, ""},
		"half a character":                       {[]any{"encoding", "utf-16le"}, utf16le(roster + "7,Ünal,Ada\r\n")[:30] + "\x00\xd8", nil, "encoding"},
		"utf-16le that nobody said":              {nil, utf16le(roster + "7,Ada\r\n"), nil, "encoding"},
		"a spreadsheet":                          {nil, "PK\x03\x04\x14\x00", nil, "spreadsheet"},
		"a message":                              {nil, "-----BEGIN PGP MESSAGE-----\n", nil, "encrypted"},
		"nothing":                                {nil, "", nil, "empty"},
		"header only":                            {nil, roster, nil, "no_rows"},
		"no changes":                             {[]any{"kind", changed}, roster, []string{}, ""},

		"semicolons and apostrophes": {[]any{"delimiter", "semicolon", "quote", "single"}, "id;family;given\n'7';'O''Brien; Sr.';'the \"Ada\"'\n", []string{`7 {"family":"O'Brien; Sr.","given":"the \"Ada\"","id":"7"}`}, ""},
		"no quotes":                  {[]any{"delimiter", "pipe", "quote", "none"}, "id|family|given\n7|\"Nan\"|Ada \"A\n", []string{`7 {"family":"\"Nan\"","given":"Ada \"A","id":"7"}`}, ""},
		"tabs":                       {[]any{"delimiter", "tab"}, "id\tfamily\tgiven\n7\tÜnal\tAda\n", one, ""},
		"lines within a cell":        {lax, "id,family,given\n7,\"a\nb\",\"x\"\n8,y\n", []string{`7 {"family":"a\nb","given":"x","id":"7"}`, "! lines[4] too_few_fields"}, ""},

		"another order of columns": {nil, "Given , ID,FAMILY\r\nAda,7,Ünal\r\n", []string{`7 {"family":"Ünal","given":"Ada","id":"7"}`}, ""},
		"the order counts":         {[]any{"columns", []string{"id", "family"}, "ordered", true}, "family,id\r\nx,7\r\n", nil, "column_order"},
		"the letter case counts":   {[]any{"header_case", "exact"}, "ID,family\r\n7,x\r\n", nil, "missing_column at columns.id"},
		"a duplicate column":       {nil, "id,family,Family\r\n7,x,y\r\n", nil, "duplicate_column at columns[2]"},
		"a missing column":         {[]any{"columns", []string{"id", "family", "team"}}, roster + "7,x,y\r\n", nil, "missing_column at columns.team"},
		"a column without a name":  {nil, "id,,given\r\n7,x,y\r\n", nil, "empty_column at columns[1]"},
		"columns nobody asked for": {[]any{"columns", []string{"ID", "Given"}}, roster + "7,Ünal,Ada\r\n", []string{`7 {"Given":"Ada","ID":"7"}`}, ""},
		"the wrong file":           {nil, "Zoltan,Kis\r\n", nil, "missing_column at columns.id"},
		"no header":                {[]any{"header", false, "columns", []string{"id", "family", "given"}}, "7,Ünal,Ada\r\n", one, ""},

		"empty is cleared":         {nil, roster + "7,,Ada\r\n", []string{`7 {"family":null,"given":"Ada","id":"7"}`}, ""},
		"empty is unsaid":          {[]any{"kind", partial, "clear", "#CLEAR"}, roster + "7,,#CLEAR\r\n", []string{`7 {"given":null,"id":"7"}`}, ""},
		"ragged rows":              {lax, roster + "7,Ünal,Ada\r\n8,x\r\n9,x,y,z\r\n", []string{one[0], "! lines[3] too_few_fields", "! lines[4] too_many_fields"}, ""},
		"the last line is cut":     {nil, roster + "7,Ünal,Ada\r\n8,x", nil, "truncated"},
		"a cell is cut":            {nil, roster + "7,Ünal,Ada\r\n8,x,\"Ad", nil, "truncated"},
		"a bare quote":             {lax, roster + "7,Ünal,Ada\r\n8,x\"y,z\r\n9,x,y\r\n", []string{one[0], `9 {"family":"x","given":"y","id":"9"}`, "! lines[3] quote"}, ""},
		"no key":                   {lax, roster + "7,Ünal,Ada\r\n ,x,y\r\n", []string{one[0], "! lines[3].id no_key"}, ""},
		"a key twice":              {lax, roster + "8,x,y\r\n7,Ünal,Ada\r\n8,x,z\r\n8,x,z\r\n", []string{one[0], "! lines[2].id duplicate_key", "! lines[4].id duplicate_key", "! lines[5].id duplicate_key"}, ""},
		"a key from a spreadsheet": {lax, roster + "7,Ünal,Ada\r\n1.0E+05,x,y\r\n", []string{one[0], "! lines[3].id key_as_number"}, ""},
		"a key of another form":    {[]any{"key_pattern", `\d+`, "max_rejected_percent", 100}, roster + "7,Ünal,Ada\r\nE8,x,y\r\n", []string{one[0], "! lines[3].id key_form"}, ""},
		"a cell that must be":      {[]any{"required", []string{"given"}, "max_rejected_percent", 100}, roster + "7,Ünal,Ada\r\n8,x, \r\n", []string{one[0], "! lines[3].given empty"}, ""},
		"one bad row of two":       {nil, roster + "7,Ünal,Ada\r\n8,x\r\n", []string{one[0], "! lines[3] too_few_fields"}, ""},
		"too great a share":        {nil, roster + "7,Ünal,Ada\r\n8,x\r\n9,x\r\n", nil, "too_many_rejected"},
		"too many":                 {[]any{"max_rejected", 1, "max_rejected_percent", 100}, roster + strings.Repeat("8,x\r\n", 2) + "7,Ünal,Ada\r\n", nil, "too_many_rejected"},
		"rows of a key":            {[]any{"rows", grouped, "kind", changed}, "id,plan\r\n7,med\r\n8,med\r\n7,den\r\n", []string{`7 {"key":"7","rows":[{"id":"7","plan":"med"},{"id":"7","plan":"den"}]}`, `8 {"key":"8","rows":[{"id":"8","plan":"med"}]}`}, ""},
		"half a group is none":     {[]any{"rows", grouped, "kind", changed, "required", []string{"plan"}}, "id,plan\r\n7,med\r\n8,med\r\n7,\r\n", []string{`8 {"key":"8","rows":[{"id":"8","plan":"med"}]}`, "! lines[4].plan empty"}, ""},

		"a trailer":            {[]any{"trailer", "T", "trailer_count", 2}, roster + "7,Ünal,Ada\r\nT,1\r\n", one, ""},
		"a trailer is missing": {[]any{"trailer", "T", "trailer_count", 2}, roster + "7,Ünal,Ada\r\n", nil, "truncated"},
		"a trailer is wrong":   {[]any{"trailer", "T", "trailer_count", 2}, roster + "7,Ünal,Ada\r\nT,2\r\n", nil, "row_count"},
		"rows behind it":       {[]any{"trailer", "T"}, roster + "7,Ünal,Ada\r\nT,1\r\n8,x,y\r\n", nil, "after_trailer at lines[4]"},
		"rows of other types":  {[]any{"row_type", "7", "max_rejected_percent", 100}, roster + "7,Ünal,Ada\r\n8,x,y\r\n", []string{one[0], "! lines[3] row_type"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFeed(t, c.kv...)
			got, err := f.parse([]byte(c.file), -1)
			if c.want == nil {
				r, ok := errors.AsType[refusal](err)
				if why := strings.TrimSuffix(r.reason+" at "+r.path, " at "); !ok || why != c.why {
					t.Fatalf("refused with %q (%v), want %q", why, err, c.why)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if list := got.listing(f); !slices.Equal(list, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(list, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

var payroll = []any{
	"kind", changed, "key", "employee_number", "row_type", "D", "trailer", "T", "trailer_count", 3, "trailer_sha256", 4,
	"name", "ALP_PAYCHG_{time}_{sequence}.csv", "manifest", "{name}.manifest.json",
}

// TestSamples: the files of the notes, as they are and with a byte changed.
func TestSamples(t *testing.T) {
	f := newFeed(t, payroll...)
	raw := sample(t, "ALP_PAYCHG_20260302T143000Z_000187.csv")
	got, err := f.parse(raw, 4)
	if err != nil || len(got.items) != 4 || len(got.faults) != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	if list := got.listing(f); !strings.Contains(list[2], `"employee_number":"00731"`) || !strings.Contains(list[2], `"given_name":"Ngũgĩ \"Gus\""`) {
		t.Errorf("the third row is %s", list[2])
	}
	if _, err := f.parse([]byte(strings.Replace(string(raw), "98750.00", "98750.01", 1)), -1); !errors.Is(err, refusal{reason: "hash"}) {
		t.Errorf("a changed amount: %v", err)
	}
	if _, err := f.parse(raw, 5); !errors.Is(err, refusal{reason: "row_count"}) {
		t.Errorf("a manifest of five rows: %v", err)
	}
	f = newFeed(t, "key", "employee_number")
	if got, err := f.parse(sample(t, "ALP_ROSTER_FULL_20260302.csv"), -1); err != nil || len(got.items) != 4 {
		t.Errorf("roster: %+v, %v", got, err)
	}
	f = newFeed(t, "key", "employee_number", "kind", changed)
	if got, err := f.parse(sample(t, "ALP_PAYCHG_20260302T143000Z_000187.rejects.csv"), -1); err != nil || len(got.items) != 1 {
		t.Errorf("rejects: %+v, %v", got, err)
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		order         uint64
		ok            bool
	}{
		{"*.csv", "a.csv", 0, true},
		{"*.csv", "a.csv.part", 0, false},
		{"R_{date}.csv", "R_20260302.csv", 20260302, true},
		{"R_{date}.csv", "R_2026-03-02.csv", 20260302, true},
		{"R_{date}.csv", "R_2026.csv", 0, false},
		{"R_{time}_*.csv", "R_20260302T143000Z_x.csv", 20260302143000, true},
		{"P_{time}_{sequence}.csv", "P_20260302T143000Z_000187.csv", 187, true},
		{"a.b{sequence}", "axb1", 0, false},
	} {
		p, err := parsePattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if order, ok := p.match(c.name); order != c.order || ok != c.ok {
			t.Errorf("%s of %s: %d %t", c.name, c.pattern, order, ok)
		}
	}
	for _, bad := range []string{"{day}.csv", "{date}{time}", "{sequence}{sequence}", "in/*.csv"} {
		if _, err := parsePattern(bad); err == nil {
			t.Errorf("%s passes", bad)
		}
	}
}

// TestSettingsThatCannotBe are refused when the account is opened.
func TestSettingsThatCannotBe(t *testing.T) {
	for name, kv := range map[string][]any{
		"kind": {"kind", "roster"}, "key": {"key", ""}, "key_pattern": {"key_pattern", "("}, "columns": {"columns", []string{"family"}},
		"twice": {"columns", []string{"id", "ID"}}, "order of the columns": {"header", false}, "trailer": {"trailer_count", 2},
		"archive": {"archive", "a", "delete", true}, "found there again": {"folder", "in/", "archive", "in"}, "marker": {"marker", "done"},
	} {
		if _, err := read(connector.Account{Settings: settings(kv...)}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzParse: whatever the bytes are, the file is refused, or every row of it is
// either a record or listed.
func FuzzParse(f *testing.F) {
	f.Add([]byte(roster+"7,a,b\r\n8,\"x\"\r\n"), uint8(0))
	f.Add(sample(f, "ALP_ROSTER_FULL_20260302.csv"), uint8(3))
	f.Add([]byte(utf16le(roster+"7,a,b\r\n")), uint8(8))
	f.Add([]byte("id;x\r'1';'a''b'\r"), uint8(0x15))
	f.Fuzz(func(t *testing.T, raw []byte, how uint8) {
		fd := newFeed(t,
			"encoding", []string{"utf-8", "windows-1252", "utf-16le", "utf-8"}[how>>2&3], "quote", []string{"double", "single", "none", "double"}[how>>4&3],
			"delimiter", []string{"comma", "semicolon"}[how&1], "rows", []string{oneRow, grouped}[how>>1&1],
			"max_rejected", 1<<30, "max_rejected_percent", 100)
		if how>>6&1 == 1 {
			fd.trailer, fd.trailerCount, fd.trailerSum = "T", 2, 3
		}
		got, err := fd.parse(raw, -1)
		if err != nil {
			if _, ok := errors.AsType[refusal](err); !ok {
				t.Fatalf("%v is no refusal", err)
			}
			return
		}
		keys := map[string]bool{}
		for _, it := range got.items {
			r, err := fd.record(got, it, connector.Version{})
			if err != nil || !json.Valid(r.Body) || r.Key == "" || keys[r.Key] {
				t.Fatalf("record %q, %v", r.Body, err)
			}
			keys[r.Key] = true
		}
		for _, bad := range got.faults {
			if bad.line < 1 || bad.reason == "" || keys[bad.key] && bad.reason == "duplicate_key" {
				t.Fatalf("rejected %+v", bad)
			}
		}
	})
}

// TestElections: the mapping that the page of the connector shows makes a list
// of a key's rows.
func TestElections(t *testing.T) {
	f := newFeed(t, "rows", grouped, "kind", changed, "key", "employee_number")
	table, err := f.parse([]byte("employee_number,plan_code,plan_kind,coverage,effective_date,signed_on\nE1,PPO,medical,family,2026-01-01,2025-11-20\nE1,DEN,dental,employee,2026-01-01,2025-11-20\n"), -1)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := f.record(table, table.items[0], connector.Version{Scale: connector.ScaleSequence, Value: "3"})
	if err != nil {
		t.Fatal(err)
	}
	m, problems := mapping.Parse("elections.yaml", []byte(`fields:
  external.$source: $key
  employee_number: $key
  benefit_elections:
    each: rows
    fields: {plan: plan_code, kind: plan_kind, coverage: coverage, start: effective_date, signed_on: signed_on}
`), mapping.Options{Direction: mapping.FromVendor, Source: "elections"})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	obs, err := m.Observe(rec, time.Date(2026, 1, 2, 9, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(obs.Fields["benefit_elections"])
	const want = `[{"coverage":"family","kind":"medical","plan":"PPO","signed_on":"2025-11-20","start":"2026-01-01"},{"coverage":"employee","kind":"dental","plan":"DEN","signed_on":"2025-11-20","start":"2026-01-01"}]`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
}
