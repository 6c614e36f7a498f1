package csv

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/fault"
)

// Types of changes, a row each. A deduction has a row of its own.
const (
	hire      = "HIRE"
	pay       = "PAY"
	job       = "JOB"
	deduction = "DEDUCTION"
	leave     = "LEAVE"
	back      = "RETURN"
	term      = "TERM"
	naming    = "NAME"
)

// Columns that the rows' rules speak of.
const (
	colRecord     = "record_type"
	colCompany    = "company_code"
	colNumber     = "employee_number"
	colChange     = "change_type"
	colEffective  = "effective_date"
	colFamily     = "family_name"
	colGiven      = "given_name"
	colBirth      = "birth_date"
	colSSN        = "ssn"
	colEmail      = "work_email"
	colStatus     = "employment_status"
	colHired      = "hire_date"
	colTerminated = "termination_date"
	colRate       = "pay_rate"
	colCurrency   = "currency"
	colCenter     = "cost_center"
	colCode       = "deduction_code"
	colAmount     = "deduction_amount"
	colStart      = "deduction_start"
	colEnd        = "deduction_end"
)

// Columns of each type beside those of all rows; others of the file are empty.
var of = map[string][]string{
	hire:   {colFamily, colGiven, colBirth, colSSN, colEmail, colStatus, colHired, "pay_type", colRate, "pay_period", colCurrency, colCenter},
	pay:    {"pay_type", colRate, "pay_period", colCurrency, colCenter},
	job:    {colCenter},
	leave:  {colStatus},
	back:   {colStatus},
	term:   {colStatus, colTerminated, "last_day_worked"},
	naming: {colFamily, colGiven},
}

// What a change of these columns, and of no other, makes a row of.
var moves = []struct {
	kind    string
	columns []string
}{
	{naming, []string{colFamily, colGiven, colEmail}},
	{job, []string{colCenter}},
	{pay, []string{"pay_type", colRate, "pay_period", colCurrency, "pay_effective_date"}},
}

// change is one line of the file, as a piece keeps it: by column, since the
// settings may be others when its file is built. What they alone say, and
// nothing, is not kept.
type change struct {
	Key    string            `json:"key"` // employee number, type and day; of a deduction its code too
	Values map[string]string `json:"values"`
}

func rowsOf(p connector.Piece) (rows []change, err error) {
	other := func(r change) bool { return r.Values == nil }
	if json.Unmarshal(p.Content, &rows) != nil || len(rows) == 0 || slices.ContainsFunc(rows, other) {
		return nil, fault.New(fault.Target, "content", "the piece is not one of this connector")
	}
	return rows, nil
}

// cells puts a row in the order of the file, as the settings are now. What they
// have no place for any more is nobody's fault who is in the file.
func (t *target) cells(r change) ([]string, error) {
	for _, c := range slices.Sorted(maps.Keys(r.Values)) {
		if !slices.Contains(t.columns, c) {
			return nil, &fault.Error{Class: fault.Target, Reason: "columns_changed", Path: c, Err: errors.New("a change that waits has a value of a column that the settings no longer have")}
		}
	}
	out := make([]string, len(t.columns))
	for i, c := range t.columns {
		switch c {
		case colRecord:
			out[i] = t.rowType
		case colCompany:
			out[i] = t.company
		default:
			out[i] = r.Values[c]
		}
		if _, err := t.encodeRest(out[i]); err != nil {
			return nil, &fault.Error{Class: fault.Target, Reason: "encoding", Path: c, Err: err}
		}
	}
	return out, nil
}

// Piece makes the rows of what is different from what the receiver was told.
func (t *target) Piece(d connector.Delivery) (connector.Piece, error) {
	w := writer{target: t, now: d.Body, was: d.Before, status: d.Status, before: d.Was}
	if err := w.rows(); err != nil || len(w.out) == 0 {
		return connector.Piece{}, err
	}
	content, err := json.Marshal(w.out)
	if err != nil {
		return connector.Piece{}, wrong("encode", "")
	}
	p := connector.Piece{Key: w.out[0].Key, Content: content}
	for _, r := range w.out[1:] {
		if r.Key == p.Key || slices.Contains(p.Also, r.Key) {
			return connector.Piece{}, wrong("same_row_twice", colChange)
		}
		p.Also = append(p.Also, r.Key)
	}
	return p, nil
}

// writer makes the rows of one person.
type writer struct {
	*target
	now, was       map[string]any
	status, before string
	ending         bool // a last day is told: no other row may stand in its way
	lenient        bool // a value that is cleared, and has no word for it, is left out
	out            []change
}

func in(body map[string]any, column string) string { s, _ := body[column].(string); return s }

func working(status string) bool { return status == employee.Active || status == employee.OnLeave }

// told is the status that the receiver was told last; false if it knows nobody.
// What went back to not begun without its knowing is as it was told.
func (w *writer) told() (status string, known bool) {
	status = w.before // of who left the integration the body may say something else
	if !working(status) && status != employee.Terminated {
		if status = in(w.was, colStatus); !working(status) {
			return "", false
		}
	}
	return status, w.was != nil
}

// rows decides what happened. Who has not begun, or left without ever being
// told of, is nobody to a payroll.
func (w *writer) rows() error {
	was, told := w.told()
	switch {
	case working(w.status):
		if !told || !working(was) {
			return w.all()
		}
	case !told:
		return nil
	case w.status == employee.PreHire || w.status == employee.Withdrawn: // and was said to have begun
		if !working(was) {
			return nil
		}
		w.ending = true
		return w.add(term, in(w.now, "today"), colStatus)
	case w.status != employee.Terminated:
		return nil
	default:
		w.lenient = true
		w.ending = working(was) || !w.same(colTerminated) || !w.same("last_day_worked")
	}
	for _, m := range moves {
		if err := w.pass(w.move(m.kind, m.columns)); err != nil {
			return err
		}
	}
	if err := w.deductions(false); err != nil {
		return err
	}
	switch {
	case w.ending:
		w.lenient = working(was) || in(w.now, colTerminated) != "" && !w.same(colTerminated) // else nothing would be left to tell
		return w.add(term, w.ended(), of[term]...)
	case w.status == was || w.status == employee.Terminated:
		return nil
	case w.status == employee.OnLeave:
		return w.add(leave, in(w.now, "today"), of[leave]...)
	default:
		return w.add(back, in(w.now, "today"), of[back]...)
	}
}

// pass lets a row go that cannot be written beside somebody's last day: who is
// not told to have left is paid on.
func (w *writer) pass(err error) error {
	if w.ending {
		return nil
	}
	return err
}

// all tells of somebody for the first time, or again after they had left.
func (w *writer) all() error {
	if err := w.add(hire, in(w.now, colHired), of[hire]...); err != nil {
		return err
	}
	return w.deductions(true)
}

// ended is the last day of employment; of somebody whom the integration covers
// no more, though they are employed, the day that was found.
func (w *writer) ended() string {
	if day := in(w.now, colTerminated); day != "" {
		return day
	}
	return in(w.now, "today")
}

func (w *writer) same(column string) bool {
	return employee.Equal(w.now[column], w.was[column])
}

// moved tells whether a column says something else than before. One that is not
// said is as it was.
func (w *writer) moved(column string) bool {
	_, said := w.now[column]
	return said && !w.same(column)
}

// day is that of a change: its own if it came with one, else today.
func (w *writer) day(own string) string {
	if day := in(w.now, own); day != "" && !w.same(own) {
		return day
	}
	return in(w.now, "today")
}

// unclear tells of a value that would have to be cleared, and cannot.
func (w *writer) unclear(column string) bool {
	v, said := w.now[column]
	return said && v == nil && w.clear == ""
}

func (w *writer) move(kind string, columns []string) error {
	if !slices.ContainsFunc(columns, func(c string) bool { return w.moved(c) && (!w.lenient || !w.unclear(c)) }) {
		return nil
	}
	day, more := in(w.now, "today"), []string(nil)
	switch kind {
	case job:
		day = w.day("job_start")
	case pay:
		day = w.day("pay_effective_date")
		if end := in(w.now, colTerminated); w.status == employee.Terminated && end != "" && day > end {
			return nil // nobody is paid after it
		}
	case naming:
		if w.moved(colEmail) {
			more = append(more, colEmail)
		}
	}
	return w.add(kind, day, append(more, of[kind]...)...)
}

// deductions has a row for each that is new, changed or gone.
func (w *writer) deductions(all bool) error {
	if _, said := w.now["deductions"]; !said {
		return nil
	}
	before := map[string]map[string]any{}
	if !all {
		before, _ = byCode(w.was["deductions"]) // what was told before is as it is
	}
	after, err := byCode(w.now["deductions"])
	if err := w.pass(err); err != nil {
		return err
	}
	for _, code := range slices.Sorted(maps.Keys(after)) {
		if err := w.pass(w.deducted(code, after[code], before[code])); err != nil {
			return err
		}
	}
	for _, code := range slices.Sorted(maps.Keys(before)) {
		today, end := in(w.now, "today"), in(before[code], "end")
		if after[code] != nil || end != "" && end <= today {
			continue // one that had ended before has its end
		}
		if err := w.pass(w.deduct(today, map[string]string{colCode: code, colEnd: today})); err != nil {
			return err
		}
	}
	return nil
}

// deducted has the row of one that is new or changed.
func (w *writer) deducted(code string, now, was map[string]any) error {
	if was != nil && employee.Equal(now, was) {
		return nil
	}
	if in(now, "amount") == "" {
		return wrong("missing", colAmount) // a share of the pay has no column
	}
	day := in(w.now, "today")
	switch {
	case in(now, "start") != "" && in(now, "start") != in(was, "start"):
		day = in(now, "start")
	case in(now, "end") != "" && in(now, "end") != in(was, "end"):
		day = in(now, "end")
	}
	cells := map[string]string{colCode: code, colAmount: in(now, "amount"), colStart: in(now, "start"), colEnd: in(now, "end")}
	for _, own := range []string{"start", "end"} {
		column := "deduction_" + own
		if cells[column] != "" || in(was, own) == "" {
			continue
		}
		if w.clear == "" && !w.lenient && slices.Contains(w.columns, column) {
			return wrong("cannot_clear", column)
		}
		cells[column] = w.clear
	}
	return w.deduct(day, cells)
}

// byCode finds deductions by what a receiver knows them by. Of two with one
// code it would know one.
func byCode(list any) (out map[string]map[string]any, err error) {
	out = map[string]map[string]any{}
	all, _ := list.([]any)
	for _, e := range all {
		m, _ := e.(map[string]any)
		code := in(m, "code")
		switch {
		case code == "":
			err = wrong("missing", colCode)
			continue
		case out[code] != nil:
			err = wrong("same_row_twice", colCode)
		}
		out[code] = m
	}
	return out, err
}

func (w *writer) deduct(day string, cells map[string]string) error {
	return w.write(deduction, day, cells)
}

// add makes a row with the values of columns.
func (w *writer) add(kind, day string, columns ...string) error {
	cells := map[string]string{}
	for _, c := range columns {
		v, said := w.now[c]
		text, isText := v.(string)
		switch {
		case !said || v == nil && w.was[c] == nil:
		case v == nil:
			if w.clear == "" && !w.lenient && slices.Contains(w.columns, c) {
				return wrong("cannot_clear", c) // an empty cell says nothing
			}
			cells[c] = w.clear
		case !isText && kind == term && w.ending: // the day counts
		case !isText:
			return wrong("not_text", c)
		default:
			cells[c] = text
		}
	}
	switch {
	case cells[colStatus] == "":
	case kind == term:
		cells[colStatus] = employee.Terminated // who left the integration, or never began, has left the payroll
	default:
		cells[colStatus] = w.status
	}
	return w.write(kind, day, cells)
}

// write checks a row and keeps what it says.
func (w *writer) write(kind, day string, cells map[string]string) error {
	last := kind == term && w.ending
	cells[colRecord], cells[colCompany], cells[colNumber], cells[colChange], cells[colEffective] = w.rowType, w.company, in(w.now, colNumber), kind, day
	if last && cells[colNumber] == "" {
		cells[colNumber] = in(w.was, colNumber)
	}
	if w.namesAlways {
		cells[colFamily], cells[colGiven] = in(w.now, colFamily), in(w.now, colGiven)
	}
	r := change{Key: strings.Join([]string{cells[colNumber], kind, day}, "|"), Values: map[string]string{}}
	if kind == deduction {
		r.Key += "|" + cells[colCode]
	}
	for _, c := range w.columns {
		if known := slices.Contains(payrollColumns, c); !known || c == "external_id" {
			cells[c] = in(w.now, c) // in every row, as the company's mapping says
		}
		if c == colRecord || c == colCompany {
			continue // of the settings
		}
		v := cells[c]
		if reason := w.unfit(v); reason != "" {
			if !last || c == colNumber || c == colEffective {
				return wrong(reason, c)
			}
			if v = in(w.was, c); slices.Contains(of[term], c) || w.unfit(v) != "" {
				v = ""
			}
		}
		if v != "" {
			r.Values[c] = v
		}
	}
	for _, c := range append([]string{colNumber, colEffective}, w.required[kind]...) {
		if cells[c] == "" {
			return wrong("missing", c)
		}
	}
	w.out = append(w.out, r)
	return nil
}

// unfit tells why a value cannot stand in the file.
func (t *target) unfit(v string) (reason string) {
	if strings.ContainsFunc(v, unicode.IsControl) {
		return "control_character"
	}
	if _, err := t.encodeRest(v); err != nil {
		return "encoding"
	}
	return ""
}
