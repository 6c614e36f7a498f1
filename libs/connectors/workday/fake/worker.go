package fake

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

func text(args map[string]any, name string) string {
	switch x := args[name].(type) {
	case nil:
		return ""
	case string:
		return x
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	default:
		return fmt.Sprint(x)
	}
}

func (v *tenant) hire(args map[string]any) (*worker, error) {
	start := cmp.Or(text(args, "start"), v.today())
	if text(args, "given") == "" || text(args, "family") == "" {
		return nil, errors.New("hire needs given and family")
	}
	if _, err := time.Parse(time.DateOnly, start); err != nil {
		return nil, errors.New("hire: start is no day")
	}
	v.next++
	w := &worker{wid: fmt.Sprintf("3aa5550b7fe348b9%016x", v.next), number: cmp.Or(text(args, "number"), strconv.Itoa(v.next))}
	columns := spell(args)
	maps.Copy(columns, map[string]string{
		"Legal_First_Name": text(args, "given"), "Legal_Last_Name": text(args, "family"), "Preferred_First_Name": text(args, "preferred"),
		"Date_of_Birth": text(args, "birth_date"), "Hire_Date": start, "Original_Hire_Date": start,
		"Worker_Type": "Employee", "Time_Type": cmp.Or(text(args, "type"), "Full time"), "FTE": "100",
		"Worker_Status": "Active", "Active": "1", "Employee_ID": w.number, "WID": w.wid,
	})
	w.entries = append(w.entries, entry{start, v.o.Time(), columns, -1})
	v.people = append(v.people, w)
	return w, nil
}

// spell are the columns that several verbs may set.
func spell(args map[string]any) map[string]string {
	columns := map[string]string{}
	for arg, column := range map[string]string{
		"title": "_title", "department": "Supervisory_Organization", "location": "Location", "manager": "Manager_Employee_ID",
		"work_email": "Work_Email", "salary": "Base_Pay", "amount": "Base_Pay", "currency": "Currency",
	} {
		if s := text(args, arg); s != "" {
			columns[column] = s
		}
	}
	if columns["Base_Pay"] != "" {
		columns["Pay_Frequency"] = "Annual"
		columns["Currency"] = cmp.Or(columns["Currency"], "EUR")
	}
	return columns
}

func (v *tenant) change(w *worker, verb string, args map[string]any) error {
	from := cmp.Or(text(args, "effective"), text(args, "date"), text(args, "start"), v.today())
	if verb == "terminate" {
		from = cmp.Or(text(args, "date"), text(args, "last_day"), v.today())
	}
	at, err := time.Parse(time.DateOnly, from)
	if err != nil {
		return errors.New(verb + ": the date is no day")
	}
	e := entry{from, v.o.Time(), spell(args), -1}
	switch verb {
	case "terminate":
		// He works on that day; from the next one on he is terminated. The day is
		// known from the start.
		known := entry{v.today(), e.at, map[string]string{"Termination_Date": from, "Last_Day_of_Work": cmp.Or(text(args, "last_day"), from), "Termination_Reason": text(args, "reason")}, -1}
		w.entries = append(w.entries, known)
		e.effective = at.AddDate(0, 0, 1).Format(time.DateOnly)
		e.columns = map[string]string{"Worker_Status": "Terminated", "Active": "0"}
	case "rescind":
		i := len(w.entries) - 1
		for ; i >= 0 && w.entries[i].columns["Worker_Status"] != "Terminated"; i-- {
		}
		if i < 1 {
			return errors.New("rescind: there is no termination")
		}
		w.entries = append(w.entries, entry{"", e.at, nil, i - 1})
		e = entry{"", e.at, nil, i}
	case "rehire":
		maps.Copy(e.columns, map[string]string{"Hire_Date": from, "Worker_Status": "Active", "Active": "1"}) // the old termination date stays
	case "leave":
		e.columns["Worker_Status"] = "On Leave"
	case "return":
		e.columns["Worker_Status"] = "Active"
	}
	w.entries = append(w.entries, e)
	return nil
}

// entered tells whether something was entered at or after a moment.
func (w *worker) entered(since, until time.Time) bool {
	return slices.ContainsFunc(w.entries, func(e entry) bool { return !e.at.Before(since) && !e.at.After(until) })
}

// as is the worker as of a day and of what was entered until a moment; nil:
// nobody knows him yet. Before the day of hire little is shown.
func (w *worker) as(day string, moment time.Time) map[string]string {
	gone := map[int]bool{}
	for _, e := range w.entries {
		if e.taken >= 0 && !e.at.After(moment) {
			gone[e.taken] = true
		}
	}
	var held []entry
	for i, e := range w.entries {
		if e.taken < 0 && !gone[i] && !e.at.After(moment) {
			held = append(held, e)
		}
	}
	if len(held) == 0 {
		return nil
	}
	slices.SortStableFunc(held, func(a, b entry) int { return cmp.Compare(a.effective, b.effective) })
	columns := map[string]string{}
	for _, e := range held {
		if e.effective <= day {
			maps.Copy(columns, e.columns)
		}
	}
	if len(columns) == 0 { // hired ahead
		first := held[0].columns
		for _, name := range []string{"WID", "Employee_ID", "Legal_First_Name", "Legal_Last_Name", "Hire_Date"} {
			columns[name] = first[name]
		}
		columns["Active"] = "0"
	}
	return columns
}
