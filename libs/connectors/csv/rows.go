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

// change is one line of the file, as a piece keeps it.
type change struct {
	Key   string   `json:"key"` // employee number, type and day; of a deduction its code too
	Cells []string `json:"cells"`
}

func rowsOf(p connector.Piece) (rows []change, err error) {
	if json.Unmarshal(p.Content, &rows) != nil || len(rows) == 0 {
		return nil, errors.New("the piece is not one of this connector")
	}
	return rows, nil
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
	out            []change
}

func in(body map[string]any, column string) string { s, _ := body[column].(string); return s }

func working(status string) bool { return status == employee.Active || status == employee.OnLeave }

// rows decides what happened. Who has not begun, or left without ever being
// told of, is nobody to a payroll.
func (w *writer) rows() error {
	was := w.before // of who left the integration the body may say something else
	told := w.was != nil && was != employee.PreHire
	if !working(w.status) && (!told || w.status != employee.Terminated) {
		return nil
	}
	if !told || working(w.status) && !working(was) {
		return w.all()
	}
	for _, m := range moves {
		if err := w.move(m.kind, m.columns); err != nil {
			return err
		}
	}
	if err := w.deductions(false); err != nil {
		return err
	}
	switch {
	case w.status == was && w.status == employee.Terminated:
		if w.same(colTerminated) && w.same("last_day_worked") {
			return nil
		}
		return w.add(term, w.ended(), of[term]...)
	case w.status == was:
		return nil
	case w.status == employee.Terminated:
		return w.add(term, w.ended(), of[term]...)
	case w.status == employee.OnLeave:
		return w.add(leave, in(w.now, "today"), of[leave]...)
	default:
		return w.add(back, in(w.now, "today"), of[back]...)
	}
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

func (w *writer) move(kind string, columns []string) error {
	if !slices.ContainsFunc(columns, w.moved) {
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
		before = byCode(w.was["deductions"])
	}
	after := byCode(w.now["deductions"])
	for _, code := range slices.Sorted(maps.Keys(after)) {
		now, was := after[code], before[code]
		if was != nil && employee.Equal(now, was) {
			continue
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
		if err := w.deduct(day, map[string]string{colCode: code, colAmount: in(now, "amount"), colStart: in(now, "start"), colEnd: in(now, "end")}); err != nil {
			return err
		}
	}
	for _, code := range slices.Sorted(maps.Keys(before)) {
		if after[code] == nil {
			today := in(w.now, "today")
			if err := w.deduct(today, map[string]string{colCode: code, colEnd: today}); err != nil {
				return err
			}
		}
	}
	return nil
}

func byCode(list any) map[string]map[string]any {
	out := map[string]map[string]any{}
	all, _ := list.([]any)
	for _, e := range all {
		if m, _ := e.(map[string]any); in(m, "code") != "" {
			out[in(m, "code")] = m
		}
	}
	return out
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
			if w.clear == "" && slices.Contains(w.columns, c) {
				return wrong("cannot_clear", c) // an empty cell says nothing
			}
			cells[c] = w.clear
		case !isText:
			return wrong("not_text", c)
		default:
			cells[c] = text
		}
	}
	if cells[colStatus] != "" {
		cells[colStatus] = w.status // who left the integration has left the payroll
	}
	return w.write(kind, day, cells)
}

// write checks a row and puts its cells in the order of the file.
func (w *writer) write(kind, day string, cells map[string]string) error {
	cells[colRecord], cells[colCompany], cells[colNumber], cells[colChange], cells[colEffective] = w.rowType, w.company, in(w.now, colNumber), kind, day
	if w.namesAlways {
		cells[colFamily], cells[colGiven] = in(w.now, colFamily), in(w.now, colGiven)
	}
	r := change{Key: strings.Join([]string{cells[colNumber], kind, day}, "|"), Cells: make([]string, len(w.columns))}
	if kind == deduction {
		r.Key += "|" + cells[colCode]
	}
	for i, c := range w.columns {
		if known := slices.Contains(payrollColumns, c); !known || c == "external_id" {
			cells[c] = in(w.now, c) // in every row, as the company's mapping says
		}
		v := cells[c]
		if strings.ContainsFunc(v, unicode.IsControl) {
			return wrong("control_character", c)
		}
		if w.encoding == "windows-1252" {
			if _, err := w.encodeRest(v); err != nil {
				return wrong("encoding", c)
			}
		}
		r.Cells[i] = v
	}
	for _, c := range append([]string{colNumber, colEffective}, w.required[kind]...) {
		if cells[c] == "" {
			return wrong("missing", c)
		}
	}
	w.out = append(w.out, r)
	return nil
}
