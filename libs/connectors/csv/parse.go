package csv

import (
	"bytes"
	stdcsv "encoding/csv"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// table is a file that has passed every check.
type table struct {
	columns []column
	items   []item   // records to be, in the order of the file
	faults  []reject // rows that are none
	unknown int      // columns that nobody asked for
}

// column is one of a record: its name there, and where it stands in a row.
type column struct {
	name string
	at   int
}

// item is what becomes a record: one row, or all rows of a key.
type item struct {
	key  string
	rows [][]string
}

// reject is a row that is no record.
type reject struct {
	line   int // where it begins, counted from 1 as an editor does
	column string
	reason string
	key    string // "" if it cannot be told
}

func (r reject) path() string {
	p := "lines[" + strconv.Itoa(r.line) + "]"
	if r.column != "" {
		p += "." + r.column
	}
	return p
}

// row is a line as it was split, or why it could not be.
type row struct {
	line   int
	fields []string
	reason string
}

// parse checks a file whole: encoding, header, trailer, number of rows, then
// the rows. want is the number of rows that a manifest tells, -1 if none does.
// The error is a refusal; with one for its rows the table still lists them.
func (f *feed) parse(raw []byte, want int) (*table, error) {
	text, err := decode(raw, f.encoding)
	if err != nil {
		return nil, err
	}
	rows, cut := f.split(text)
	t := &table{}
	width, rows, err := f.head(t, rows)
	if err != nil {
		return nil, err
	}
	if len(rows) > 0 && text[len(text)-1] != '\n' && f.trailer == "" && len(rows[len(rows)-1].fields) < width {
		cut = true
	}
	if cut {
		return nil, refusal{reason: "truncated"}
	}
	if rows, err = f.tail(raw, rows); err != nil {
		return nil, err
	}
	if want >= 0 && want != len(rows) {
		return nil, refusal{reason: "row_count"}
	}
	if len(rows) == 0 && f.kind == full { // it would say that everybody has left
		return nil, refusal{reason: "no_rows"}
	}
	f.take(t, rows, width)
	n := len(t.faults)
	if n > f.maxRejected || n > 1 && n*100 > f.maxPercent*len(rows) {
		return t, refusal{reason: "too_many_rejected"}
	}
	return t, nil
}

// split reads lines. encoding/csv knows one kind of quote; for the others the
// two marks change places before and after. cut says that a quote is open at
// the end.
func (f *feed) split(text []byte) (rows []row, cut bool) {
	exchange := func(s string) string { return s }
	switch f.quote {
	case "single":
		r := strings.NewReplacer(`"`, `'`, `'`, `"`)
		exchange, text = r.Replace, []byte(r.Replace(string(text)))
	case "none": // U+FFFF is no character, so no file has it
		text = bytes.ReplaceAll(text, []byte(`"`), []byte("\uffff"))
		exchange = func(s string) string { return strings.ReplaceAll(s, "\uffff", `"`) }
	}
	r := stdcsv.NewReader(bytes.NewReader(text))
	r.Comma, r.FieldsPerRecord = f.comma, -1
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			p, ok := errors.AsType[*stdcsv.ParseError](err)
			if !ok { // it reads from memory
				return rows, true
			}
			rows = append(rows, row{line: p.StartLine, reason: "quote"})
			cut = r.InputOffset() >= int64(len(text)) && errors.Is(p.Err, stdcsv.ErrQuote)
			continue
		}
		cut = false
		line, _ := r.FieldPos(0)
		if f.quote != "double" {
			for i := range fields {
				fields[i] = exchange(fields[i])
			}
		}
		rows = append(rows, row{line: line, fields: fields})
	}
	return rows, cut
}

// head finds the columns in the first line.
func (f *feed) head(t *table, rows []row) (width int, rest []row, err error) {
	names := f.columns
	if f.header {
		if len(rows) == 0 || rows[0].reason != "" {
			return 0, nil, refusal{reason: "header"}
		}
		names, rows = rows[0].fields, rows[1:]
	}
	own := map[string]string{} // as the settings write it
	for _, c := range slices.Concat(f.columns, []string{f.key}, f.required) {
		if own[f.folded(c)] == "" {
			own[f.folded(c)] = strings.TrimSpace(c)
		}
	}
	seen := map[string]bool{}
	for i, name := range names {
		folded := f.folded(name)
		switch {
		case folded == "":
			return 0, nil, refusal{"empty_column", "columns[" + strconv.Itoa(i) + "]"}
		case seen[folded]:
			return 0, nil, refusal{"duplicate_column", f.place(own[folded], i)}
		}
		seen[folded] = true
		if own[folded] == "" && len(f.columns) > 0 {
			t.unknown++
			continue
		}
		c := column{own[folded], i}
		if c.name == "" {
			c.name = folded
		}
		t.columns = append(t.columns, c)
	}
	for folded, name := range own {
		if !seen[folded] {
			return 0, nil, refusal{"missing_column", f.place(name, 0)}
		}
	}
	if f.ordered && !slices.EqualFunc(t.columns, f.columns, func(c column, name string) bool { return f.folded(c.name) == f.folded(name) }) {
		return 0, nil, refusal{reason: "column_order"}
	}
	return len(names), rows, nil
}

// place names a column that is the settings', any other by where it stands: a
// file without a header would show a person there.
func (f *feed) place(name string, at int) string {
	if name != "" {
		return "columns." + name
	}
	return "columns[" + strconv.Itoa(at) + "]"
}

// tail checks the trailer and takes it off.
func (f *feed) tail(raw []byte, rows []row) ([]row, error) {
	if f.trailer == "" {
		return rows, nil
	}
	at := slices.IndexFunc(rows, func(r row) bool { return len(r.fields) > 0 && r.fields[0] == f.trailer })
	switch {
	case at < 0:
		return nil, refusal{reason: "truncated"}
	case at < len(rows)-1:
		return nil, refusal{"after_trailer", reject{line: rows[at+1].line}.path()}
	}
	last := rows[at]
	rows = rows[:at]
	cell := func(n int) string {
		if n > len(last.fields) {
			return ""
		}
		return strings.TrimSpace(last.fields[n-1])
	}
	if f.trailerCount > 0 {
		if n, err := strconv.Atoi(cell(f.trailerCount)); err != nil || n != len(rows) {
			return nil, refusal{reason: "row_count"}
		}
	}
	if f.trailerSum > 0 && !strings.EqualFold(cell(f.trailerSum), sum(before(raw, f.encoding))) {
		return nil, refusal{reason: "hash"}
	}
	return rows, nil
}

// asNumber is what spreadsheets make of long numbers.
var asNumber = regexp.MustCompile(`^[0-9]([.,][0-9]+)?[eE]\+?[0-9]+$`)

// take makes items of rows, and lists those that it cannot.
func (f *feed) take(t *table, rows []row, width int) {
	keyAt, must := 0, map[string]bool{}
	for _, name := range f.required {
		must[f.folded(name)] = true
	}
	for _, c := range t.columns {
		if f.folded(c.name) == f.folded(f.key) {
			keyAt = c.at
		}
	}
	type place struct{ item, line int }
	first := map[string]place{}
	twice := map[string]bool{}
	for _, r := range rows {
		bad := f.judge(t, r, width, keyAt, must)
		if bad.reason == "" {
			at, again := first[bad.key]
			switch {
			case !again:
				first[bad.key] = place{len(t.items), r.line}
				t.items = append(t.items, item{bad.key, [][]string{r.fields}})
				continue
			case f.rows == grouped:
				t.items[at.item].rows = append(t.items[at.item].rows, r.fields)
				continue
			}
			if !twice[bad.key] { // nobody can tell which of them is right
				t.faults = append(t.faults, reject{at.line, f.key, "duplicate_key", bad.key})
			}
			twice[bad.key] = true
			bad.column, bad.reason = f.key, "duplicate_key"
		}
		t.faults = append(t.faults, bad)
		if bad.key != "" && f.rows == grouped { // half a group would say that the rest is gone
			twice[bad.key] = true
		}
	}
	if len(twice) > 0 {
		t.items = slices.DeleteFunc(t.items, func(i item) bool { return twice[i.key] })
	}
}

// judge checks one row by itself: why it is rejected, and its key.
func (f *feed) judge(t *table, r row, width, keyAt int, must map[string]bool) reject {
	bad := reject{line: r.line, reason: r.reason}
	if bad.reason != "" {
		return bad
	}
	key := ""
	if keyAt < len(r.fields) {
		key = strings.TrimSpace(r.fields[keyAt])
	}
	switch {
	case f.rowType != "" && r.fields[0] != f.rowType:
		bad.reason = "row_type"
		return bad
	case len(r.fields) < width: // cells may have moved: which is the key?
		bad.reason = "too_few_fields"
		return bad
	case len(r.fields) > width:
		bad.reason = "too_many_fields"
		return bad
	case key == "":
		bad.column, bad.reason = f.key, "no_key"
		return bad
	case len(key) > 256, f.keyPattern != nil && !f.keyPattern.MatchString(key):
		bad.column, bad.reason = f.key, "key_form"
		return bad
	case f.keyPattern == nil && asNumber.MatchString(key):
		bad.column, bad.reason = f.key, "key_as_number"
		return bad
	}
	bad.key = key
	for _, c := range t.columns {
		if must[f.folded(c.name)] && strings.TrimSpace(r.fields[c.at]) == "" {
			bad.column, bad.reason = c.name, "empty"
			return bad
		}
	}
	return bad
}
