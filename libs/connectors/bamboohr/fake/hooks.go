package fake

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/muster-hr/muster/libs/connector/fake"
)

// event is one webhook call that is due.
type event struct {
	kind   string // employee.created, .updated, .deleted
	id     string
	fields []string
}

// dueEvent fires when its day has come: the vendor tells about a planned row on
// the day it takes effect, not when it is typed.
type dueEvent struct {
	day    string
	fields []string
}

// createdEvents are both that a create fires.
func createdEvents(id string, fields map[string]any) []event {
	return []event{
		{kind: "employee.created", id: id},
		{kind: "employee.updated", id: id, fields: slices.Sorted(maps.Keys(fields))},
	}
}

// fires gives what a new row of a table tells now, and remembers the rest.
func (v *Vendor) fires(e *employee, table, day string) []event {
	var fields []string
	for name, c := range columns {
		if c.table == table {
			fields = append(fields, name)
		}
	}
	slices.Sort(fields)
	if table == tableStatus {
		if t, err := time.Parse(time.DateOnly, day); err == nil { // Active turns Inactive after the last day
			e.due = append(e.due, dueEvent{t.AddDate(0, 0, 1).Format(time.DateOnly), []string{"status"}})
		}
	}
	if day > v.today() {
		e.due = append(e.due, dueEvent{day, fields})
		return nil
	}
	return []event{{kind: "employee.updated", id: e.id, fields: fields}}
}

// Tick sends the webhooks of planned changes whose day has come. Every call of
// the API and of Do ticks first; a clock that moves may do so as well.
func (v *Vendor) Tick(ctx context.Context) {
	v.mu.Lock()
	var events []event
	today := v.today()
	for _, id := range v.order {
		e := v.people[id]
		var fields []string
		e.due = slices.DeleteFunc(e.due, func(d dueEvent) bool {
			if d.day <= today {
				fields = append(fields, d.fields...)
			}
			return d.day <= today
		})
		if len(fields) > 0 && !e.deleted {
			v.touch(e)
			events = append(events, event{kind: "employee.updated", id: id, fields: fields})
		}
	}
	v.mu.Unlock()
	v.emit(ctx, events)
}

// emit sends events, in order. The lock is not held: the receiver may call.
func (v *Vendor) emit(ctx context.Context, events []event) {
	for _, ev := range events {
		body := v.body(ev)
		stamp := strconv.FormatInt(v.o.Time().Unix(), 10)
		mac := hmac.New(sha256.New, []byte(v.o.Secret))
		mac.Write(body)
		mac.Write([]byte(stamp))
		h := http.Header{}
		h.Set("Content-Type", "application/json")
		h.Set("X-BambooHR-Timestamp", stamp)
		h.Set("X-BambooHR-Signature", hex.EncodeToString(mac.Sum(nil)))
		v.o.Emit(ctx, fake.Hook{Header: h, Body: body})
	}
}

// hookTime has no colon in its offset.
const hookTime = "2006-01-02T15:04:05-0700"

// labels are the display names that a field-based webhook prints.
var labels = map[string]string{
	"employeeNumber": "Employee #", "firstName": "First Name", "lastName": "Last Name", "jobTitle": "Job Title",
	"department": "Department", "workEmail": "Work Email", "hireDate": "Hire Date", "payRate": "Pay Rate", "location": "Location",
}

func (v *Vendor) body(ev event) []byte {
	now := v.o.Time().Format(hookTime)
	var b any
	if v.o.Settings["hooks"] == "fields" {
		b = map[string]any{"employees": []any{v.entry(ev, now)}}
	} else {
		data := map[string]any{"companyId": "58231", "employeeId": ev.id}
		if ev.kind == "employee.updated" {
			data["changedFields"] = append([]string{}, ev.fields...)
		}
		b = map[string]any{"type": ev.kind, "timestamp": now, "data": data}
	}
	body, _ := json.Marshal(b) // only texts, lists and maps
	return body
}

// entry is one employee of a field-based body: names and values on an update,
// empty lists otherwise.
func (v *Vendor) entry(ev event, now string) map[string]any {
	action := map[string]string{"employee.created": "Created", "employee.updated": "Updated", "employee.deleted": "Deleted"}[ev.kind]
	e := map[string]any{"id": ev.id, "action": action, "timestamp": now, "changedFields": []any{}, "fields": []any{}}
	if action != "Updated" {
		return e
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	fields := map[string]any{}
	for name, label := range labels {
		fields[label], _ = v.people[ev.id].value(name, v.today(), profiled)
	}
	changed := []any{}
	for _, name := range ev.fields {
		changed = append(changed, cmp.Or(labels[name], name))
	}
	e["fields"], e["changedFields"] = fields, changed
	return e
}
