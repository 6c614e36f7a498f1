package fake

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/connector/fake"
)

func (v *Vendor) person(r *http.Request) *employee {
	if e := v.people[r.PathValue("id")]; e != nil && !e.deleted {
		return e
	}
	return nil
}

var noEmployee = refuse(http.StatusNotFound, "Employee not found")

// read gives the fields that were asked for; without a list, the id only.
func (v *Vendor) read(r *http.Request) answer {
	e := v.person(r)
	if e == nil {
		return noEmployee
	}
	which, hidden := inForce, v.setting("hidden_fields")
	if r.FormValue("onlyCurrent") == "false" {
		which = newest
	}
	out := map[string]any{"id": e.id}
	for name := range strings.SplitSeq(r.FormValue("fields"), ",") {
		if value, ok := e.value(name, v.today(), which); ok && !hidden[name] {
			out[name] = value
		}
	}
	return answer{status: http.StatusOK, body: out}
}

func (v *Vendor) readTable(r *http.Request) answer {
	table := r.PathValue("table")
	if _, ok := tableColumns[table]; !ok {
		return refuse(http.StatusNotFound, "Table not found")
	}
	rows := []map[string]any{}
	if r.PathValue("id") == "all" {
		for _, id := range v.order {
			if e := v.people[id]; !e.deleted {
				rows = append(rows, e.tables[table]...)
			}
		}
		return answer{status: http.StatusOK, body: rows}
	}
	e := v.person(r)
	if e == nil {
		return noEmployee
	}
	return answer{status: http.StatusOK, body: append(rows, e.tables[table]...)}
}

// post creates. The answer has no body; the id is in Location.
func (v *Vendor) post(r *http.Request) answer {
	body, ok := object(r)
	given, _ := body["firstName"].(string)
	family, _ := body["lastName"].(string)
	if !ok || given == "" || family == "" {
		return refuse(http.StatusBadRequest, "firstName and lastName are required")
	}
	if a, ok := v.valid(body, ""); !ok {
		return a
	}
	e := v.create(body)
	v.wrote(r, e, fake.Create, body)
	root := v.o.Settings["company_url"]
	if root == "" {
		root = "https://" + r.Host
	}
	return answer{status: http.StatusCreated, location: root + "/api/v1/employees/" + e.id, events: createdEvents(e.id, body)}
}

func (v *Vendor) update(r *http.Request) answer {
	e := v.person(r)
	if e == nil {
		return noEmployee
	}
	body, ok := object(r)
	if !ok {
		return refuse(http.StatusBadRequest, "Malformed JSON")
	}
	if a, ok := v.valid(body, e.id); !ok {
		return a
	}
	changed := v.set(e, body, v.today())
	if len(changed) == 0 {
		return answer{status: http.StatusOK} // as it was: nothing happens and nothing is told
	}
	v.touch(e)
	v.wrote(r, e, fake.Update, body)
	return answer{status: http.StatusOK, events: []event{{kind: "employee.updated", id: e.id, fields: changed}}}
}

// valid refuses a taken e-mail and dates that are none, both with 409.
func (v *Vendor) valid(body map[string]any, except string) (answer, bool) {
	if mail, _ := body["workEmail"].(string); v.emailTaken(mail, except) {
		return refuse(http.StatusConflict, "The work email "+mail+" is already in use"), false
	}
	for _, name := range dates {
		if s, _ := body[name].(string); s != "" {
			if _, err := time.Parse(time.DateOnly, s); err != nil {
				return refuse(http.StatusConflict, "Invalid value "+s+" for "+name), false
			}
		}
	}
	return answer{}, true
}

// postRow adds a row; the answer does not say which.
func (v *Vendor) postRow(r *http.Request) answer {
	return v.row(r, func(e *employee, table string, row map[string]any) bool {
		v.put(e, table, row)
		return true
	})
}

// updateRow changes columns of a row; unknown ones are skipped with 200.
func (v *Vendor) updateRow(r *http.Request) answer {
	return v.row(r, func(e *employee, table string, row map[string]any) bool {
		for _, old := range e.tables[table] {
			if old["id"] != r.PathValue("row") {
				continue
			}
			for _, c := range tableColumns[table] {
				if value, ok := row[c]; ok {
					old[c] = value
				}
			}
			maps.Copy(row, old)
			return true
		}
		return false
	})
}

func (v *Vendor) row(r *http.Request, put func(*employee, string, map[string]any) bool) answer {
	e, table := v.person(r), r.PathValue("table")
	if e == nil {
		return noEmployee
	}
	row, ok := object(r)
	if _, exists := tableColumns[table]; !exists {
		return refuse(http.StatusNotAcceptable, "Unknown table")
	}
	if _, err := time.Parse(time.DateOnly, rowDay(row)); r.PathValue("row") == "" && (!ok || err != nil) {
		return refuse(http.StatusPreconditionFailed, "A date is required")
	}
	before := e.row(tableStatus, v.today(), newest)["employmentStatus"]
	body := maps.Clone(row)
	if !put(e, table, row) {
		return refuse(http.StatusNotFound, "Row not found")
	}
	op := fake.Update
	if table == tableStatus {
		switch after := row["employmentStatus"]; {
		case after == "Terminated":
			op = fake.Disable
		case before == "Terminated":
			op = fake.Enable
		}
	}
	v.touch(e)
	v.wrote(r, e, op, body)
	return answer{status: http.StatusOK, events: v.fires(e, table, rowDay(row))}
}

// since reads the ISO time of a poll.
func since(r *http.Request) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, hookTime} {
		if t, err := time.Parse(layout, r.FormValue("since")); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

const pollTime = "2006-01-02T15:04:05-07:00"

func (v *Vendor) changed(r *http.Request) answer {
	from, ok := since(r)
	if !ok {
		return refuse(http.StatusBadRequest, "since is not a date")
	}
	people, kind, latest := map[string]any{}, r.FormValue("type"), from
	for id, e := range v.people {
		action := "Updated"
		switch {
		case e.deleted:
			action = "Deleted"
		case !e.inserted.Before(from):
			action = "Inserted"
		}
		if e.changed.Before(from) || (kind != "" && !strings.EqualFold(kind, action)) {
			continue
		}
		people[id] = map[string]any{"id": id, "action": action, "lastChanged": e.changed.Format(pollTime)}
		if e.changed.After(latest) {
			latest = e.changed
		}
	}
	out := map[string]any{"latest": latest.Format(pollTime), "employees": people}
	if len(people) == 0 {
		out["employees"] = []any{} // an empty map prints as a list
	}
	return answer{status: http.StatusOK, body: out}
}

func (v *Vendor) changedTable(r *http.Request) answer {
	from, ok := since(r)
	table := r.PathValue("table")
	if _, exists := tableColumns[table]; !ok || !exists {
		return refuse(http.StatusBadRequest, "since or table is not valid")
	}
	people := map[string]any{}
	for id, e := range v.people {
		if e.deleted || e.changed.Before(from) {
			continue
		}
		rows := []any{}
		for _, row := range e.tables[table] {
			row = maps.Clone(row)
			delete(row, "id")
			delete(row, "employeeId")
			rows = append(rows, row)
		}
		people[id] = map[string]any{"lastChanged": e.changed.Format(pollTime), "rows": rows}
	}
	return answer{status: http.StatusOK, body: map[string]any{"table": table, "employees": people}}
}

// list is the roster: cursor paging, filter by part of a name, everybody in it.
func (v *Vendor) list(r *http.Request) answer {
	q := r.URL.Query()
	limit, err := strconv.Atoi(q.Get("page[limit]"))
	if err != nil || limit < 1 {
		limit = 50
	}
	hidden, after := v.setting("hidden_fields"), q.Get("page[after]")
	data, links, total := []any{}, map[string]any{"self": r.URL.String()}, 0
	for _, id := range v.order {
		e := v.people[id]
		if e.deleted || !contains(e.text("lastName"), q.Get("filter[lastName]")) || !contains(e.text("firstName"), q.Get("filter[firstName]")) {
			continue
		}
		total++
		if after != "" {
			if id == after {
				after = ""
			}
			continue
		}
		if len(data) == limit {
			q.Set("page[after]", data[limit-1].(map[string]any)["employeeId"].(string))
			links["next"] = r.URL.Path + "?" + q.Encode()
			continue
		}
		one := map[string]any{"employeeId": id, "_restrictedFields": []any{}}
		for _, name := range slices.Concat([]string{"firstName", "lastName", "preferredName", "status"}, strings.Split(q.Get("fields"), ",")) {
			if hidden[name] {
				one[name], one["_restrictedFields"] = nil, append(listOf(one["_restrictedFields"]), name)
			} else if value, ok := e.value(name, v.today(), inForce); ok {
				one[name] = value
			}
		}
		data = append(data, one)
	}
	return answer{status: http.StatusOK, body: map[string]any{"data": data, "meta": map[string]any{"total": total}, "_links": links}}
}

func contains(s, part string) bool {
	return strings.Contains(strings.ToLower(s), strings.ToLower(part))
}

// directory is what the company publishes: active people, work data only.
func (v *Vendor) directory(r *http.Request) answer {
	people := []any{}
	for _, id := range v.order {
		e := v.people[id]
		started := e.text("hireDate") <= v.today() || r.FormValue("onlyCurrent") == "false"
		if status, _ := e.value("status", v.today(), inForce); e.deleted || status != "Active" || !started {
			continue
		}
		one := map[string]any{"id": id}
		for _, name := range []string{"displayName", "firstName", "lastName", "jobTitle", "department", "location", "workEmail"} {
			one[name], _ = e.value(name, v.today(), inForce)
		}
		people = append(people, one)
	}
	if len(people) == 0 {
		return refuse(http.StatusNotFound, "No employees")
	}
	return answer{status: http.StatusOK, body: map[string]any{"fields": []any{}, "employees": people}}
}
