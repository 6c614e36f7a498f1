package fake

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The history tables, and the flat fields that show their row in force.
const (
	tableJob          = "jobInfo"
	tableStatus       = "employmentStatus"
	tableCompensation = "compensation"
)

// columns maps a flat field to its table and column.
var columns = map[string]struct{ table, column string }{
	"jobTitle":                {tableJob, "jobTitle"},
	"department":              {tableJob, "department"},
	"division":                {tableJob, "division"},
	"location":                {tableJob, "location"},
	"employmentHistoryStatus": {tableStatus, "employmentStatus"},
	"payRate":                 {tableCompensation, "rate"},
	"payType":                 {tableCompensation, "type"},
	"paidPer":                 {tableCompensation, "paidPer"},
}

// tableColumns are those a row may have; others are skipped without a word.
var tableColumns = map[string][]string{
	tableJob:          {"date", "location", "department", "division", "jobTitle", "reportsTo"},
	tableStatus:       {"date", "employmentStatus", "comment", "terminationReasonId", "terminationTypeId", "terminationRehireId", "terminationRegrettableId"},
	tableCompensation: {"startDate", "rate", "type", "exempt", "reason", "comment", "paidPer", "paySchedule"},
}

// dates print as 0000-00-00 when they are empty.
var dates = []string{"hireDate", "originalHireDate", "terminationDate", "dateOfBirth", "payRateEffectiveDate"}

// known are fields that exist besides custom ones; asking for another gives nothing.
var known = append([]string{
	"id", "employeeNumber", "status", "firstName", "middleName", "lastName", "preferredName", "displayName", "gender",
	"birthday", "maritalStatus", "ssn", "sin", "nin", "nationalId", "workEmail", "homeEmail", "workPhone",
	"workPhoneExtension", "mobilePhone", "homePhone", "address1", "address2", "city", "state", "stateCode", "zipcode",
	"country", "supervisor", "supervisorId", "supervisorEId",
	"jobTitle", "department", "division", "location", "employmentHistoryStatus", "payRate", "payType", "paidPer",
}, dates...)

type employee struct {
	id       string
	flat     map[string]any
	tables   map[string][]map[string]any
	inserted time.Time
	changed  time.Time
	deleted  bool
	due      []dueEvent
}

func (e *employee) text(name string) string {
	if e.flat[name] == nil {
		return ""
	}
	return fmt.Sprint(e.flat[name])
}

// at says which row of a table a field shows.
type at int

const (
	inForce  at = iota // the last one up to today
	newest             // the last one, planned ones included: onlyCurrent=false
	profiled           // the one in force, else the first planned one: what the profile shows
)

func rowDay(row map[string]any) string {
	day, _ := cmp.Or(row["date"], row["startDate"]).(string)
	return day
}

func (e *employee) row(table, today string, which at) map[string]any {
	rows := slices.Clone(e.tables[table])
	slices.SortStableFunc(rows, func(a, b map[string]any) int { return cmp.Compare(rowDay(a), rowDay(b)) })
	var found map[string]any
	for _, row := range rows {
		if rowDay(row) <= today || which == newest || (which == profiled && found == nil) {
			found = row
		}
	}
	return found
}

// leftOn is the day of the end of the employment that is in force or planned.
func (e *employee) leftOn() string {
	if row := e.row(tableStatus, "", newest); row != nil && row["employmentStatus"] == "Terminated" {
		return rowDay(row)
	}
	return ""
}

// value is a flat field as the API prints it.
func (e *employee) value(name, today string, which at) (any, bool) {
	if c, ok := columns[name]; ok {
		row := e.row(c.table, today, which)
		if name == "payRate" {
			if rate, ok := row["rate"].(map[string]any); ok {
				return fmt.Sprintf("%v %v", rate["value"], rate["currency"]), true
			}
			return " USD", true // empty money keeps its currency
		}
		return row[c.column], true
	}
	var v any
	switch name {
	case "id":
		return e.id, true
	case "status":
		// The last day of an employment is still one of it.
		if row := e.row(tableStatus, today, inForce); row["employmentStatus"] == "Terminated" && rowDay(row) < today {
			return "Inactive", true
		}
		return "Active", true
	case "displayName":
		return cmp.Or(e.text("preferredName"), e.text("firstName")) + " " + e.text("lastName"), true
	case "birthday":
		if d := e.text("dateOfBirth"); len(d) == len(time.DateOnly) {
			return d[5:], true
		}
		return nil, true
	case "terminationDate":
		v = e.leftOn()
	case "payRateEffectiveDate":
		v = rowDay(e.row(tableCompensation, today, which))
	default:
		v = e.flat[name]
	}
	if slices.Contains(dates, name) && (v == nil || v == "") {
		return "0000-00-00", true
	}
	if name == "address2" && v == nil {
		return "", true // empty comes in both forms
	}
	return v, slices.Contains(known, name) || strings.HasPrefix(name, "custom")
}

// profile is every field that has a value, for the sandbox.
func (e *employee) profile(today string) map[string]any {
	p := map[string]any{}
	for _, name := range slices.Concat(known, slices.Collect(maps.Keys(e.flat))) {
		v, ok := e.value(name, today, profiled)
		if ok && v != nil && v != "" && v != "0000-00-00" && v != " USD" {
			p[name] = v
		}
	}
	return p
}

func (e *employee) currency(today string) string {
	if rate, ok := e.row(tableCompensation, today, profiled)["rate"].(map[string]any); ok {
		return fmt.Sprint(rate["currency"])
	}
	return "USD"
}

// money is a rate as the table has it: {"value": "72000.00", "currency": "EUR"}.
func money(amount, currency string) map[string]any {
	if f, err := strconv.ParseFloat(amount, 64); err == nil && !strings.Contains(amount, ".") {
		amount = strconv.FormatFloat(f, 'f', 2, 64)
	}
	return map[string]any{"value": amount, "currency": currency}
}

// create stores somebody new and numbers them. Fields of a table become its
// first row, dated on the hire date.
func (v *Vendor) create(fields map[string]any) *employee {
	e := &employee{
		id: strconv.Itoa(v.nextID), flat: map[string]any{}, tables: map[string][]map[string]any{},
		inserted: v.o.Time(), changed: v.o.Time(),
	}
	v.nextID++
	day, _ := fields["hireDate"].(string)
	v.set(e, fields, orElse(day, v.today()))
	if e.text("employeeNumber") == "" && v.o.Settings["employee_numbers"] != "off" {
		e.flat["employeeNumber"] = fmt.Sprintf("%05d", v.number)
		v.number++
	}
	if len(e.tables[tableStatus]) == 0 {
		v.put(e, tableStatus, map[string]any{"date": orElse(day, v.today()), "employmentStatus": "Full-Time"})
	}
	v.people[e.id] = e
	v.order = append(v.order, e.id)
	v.touch(e)
	return e
}

// set writes flat fields and gives the names of those that changed. A field of
// a table makes a row from day on.
func (v *Vendor) set(e *employee, fields map[string]any, day string) []string {
	var changed []string
	rows := map[string]map[string]any{}
	for name, value := range fields {
		if value == "" {
			value = nil
		}
		c, inTable := columns[name]
		old, _ := e.value(name, day, inForce)
		if name == "payRate" && value != nil {
			amount, currency, _ := strings.Cut(fmt.Sprint(value), " ")
			value = money(amount, orElse(currency, e.currency(day)))
			old = e.row(tableCompensation, day, inForce)["rate"]
		}
		if name == "id" || name == "status" || name == "displayName" || name == "birthday" || name == "terminationDate" ||
			fmt.Sprint(old) == fmt.Sprint(value) || (value == nil && old == "0000-00-00") {
			continue // computed, or as it was
		}
		changed = append(changed, name)
		if !inTable {
			e.flat[name] = value
			continue
		}
		if rows[c.table] == nil {
			rows[c.table] = map[string]any{}
		}
		rows[c.table][c.column] = value
	}
	for table, row := range rows {
		row["date"] = day
		if table == tableCompensation {
			delete(row, "date")
			effective, _ := fields["payRateEffectiveDate"].(string)
			row["startDate"] = orElse(effective, day)
		}
		v.put(e, table, row)
	}
	slices.Sort(changed)
	return changed
}

// put adds a row that continues the one before it; a second one on the same
// day replaces the first.
func (v *Vendor) put(e *employee, table string, row map[string]any) map[string]any {
	day := rowDay(row)
	full := map[string]any{}
	for _, c := range tableColumns[table] {
		full[c] = nil
	}
	if table != tableStatus {
		maps.Copy(full, e.row(table, day, inForce))
	}
	for _, c := range tableColumns[table] {
		if value, ok := row[c]; ok {
			full[c] = value
		}
	}
	full["employeeId"] = e.id
	rows := slices.DeleteFunc(e.tables[table], func(r map[string]any) bool { return rowDay(r) == day })
	full["id"] = strconv.Itoa(v.nextRow)
	v.nextRow++
	e.tables[table] = append([]map[string]any{full}, rows...) // newest typed first: not sorted by day
	return full
}

// addRow adds a row that somebody typed and gives what fires now; for a later
// day it is remembered until then.
func (v *Vendor) addRow(e *employee, table string, row map[string]any) []event {
	v.put(e, table, row)
	v.touch(e)
	return v.fires(e, table, rowDay(row))
}

// touch notes the change for the poll and for the sandbox.
func (v *Vendor) touch(e *employee) {
	e.changed = v.o.Time()
	v.log.Put(e.id, e.profile(v.today()))
}
