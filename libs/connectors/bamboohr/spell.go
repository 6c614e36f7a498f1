package bamboohr

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/fault"
)

// rowFields of a body belong to a row of employmentStatus, not to the employee.
var rowFields = []string{"terminationDate", "terminationTypeId", "terminationReasonId", "terminationRehireId"}

func isRowField(name string) bool { return slices.Contains(rowFields, name) }

func leaves(status string) bool { return status == employee.Terminated || status == employee.Withdrawn }

// spell brings the table employmentStatus to what the delivery says: the end
// of the employment as a row `Terminated`, and its start again after one. It
// gives the fields of the body that were sent, nil if nothing was to be done,
// and keeps refs["ended"].
//
// An end that lies ahead is written ahead; the vendor keeps the person Active
// until that day.
func (s sink) spell(ctx context.Context, d connector.Delivery, refs connector.Refs) ([]string, error) {
	switch {
	case leaves(d.Status) || text(d.Body, "terminationDate") != "":
		return s.end(ctx, d, refs)
	case refs["ended"] != "" || text(d.Before, "terminationDate") != "":
		return s.again(ctx, d, refs)
	}
	return nil, nil
}

// end writes the row of the end. Without a day in the body it is the day of the
// change, else today, and an end that is there already stays as it is: an
// account must not stay open because a field is missing.
func (s sink) end(ctx context.Context, d connector.Delivery, refs connector.Refs) ([]string, error) {
	day, sent := text(d.Body, "terminationDate"), []string{}
	if d.Status == employee.Withdrawn && day == "" {
		if day = text(d.Body, "hireDate"); day != "" { // ends on the day on which it would have begun
			sent = append(sent, "hireDate")
		}
	}
	anyDay := day == ""
	row := map[string]any{"employmentStatus": s.terminated}
	details := d.Before == nil
	for _, name := range rowFields {
		v := d.Body[name]
		if v == nil {
			continue
		}
		sent = append(sent, name)
		if name != "terminationDate" {
			row[name] = v
			details = details || !same(d.Before[name], v)
		}
	}
	if refs["ended"] != "" && !details && (anyDay || refs["ended"] == day) {
		return nil, nil
	}
	last, err := s.newest(ctx, refs["id"])
	if err != nil {
		return nil, err
	}
	ended := last.Status == s.terminated
	if ended && (anyDay || last.Date == day) && last.has(row) {
		refs["ended"] = last.Date
		return nil, nil
	}
	if anyDay {
		day = cmp.Or(d.Effective, s.now().UTC().Format(time.DateOnly))
		if ended {
			day = last.Date
		}
	}
	row["date"] = day
	if !ended {
		last.ID = nil // a new row, not a change of the one before
	}
	if err := s.write(ctx, refs["id"], last.ID, row); err != nil {
		return nil, err
	}
	refs["ended"] = day
	return sent, nil
}

// again starts the employment after an end: with a new row from the hire date
// on, or, if that is not after the end, by taking the end back.
func (s sink) again(ctx context.Context, d connector.Delivery, refs connector.Refs) ([]string, error) {
	last, err := s.newest(ctx, refs["id"])
	if err != nil {
		return nil, err
	}
	if last.Status != s.terminated {
		delete(refs, "ended")
		return nil, nil
	}
	sent := []string{}
	row := map[string]any{"employmentStatus": s.rehire, "date": last.Date}
	if label := text(d.Body, "employmentHistoryStatus"); label != "" {
		row["employmentStatus"] = label
		sent = append(sent, "employmentHistoryStatus")
	}
	if day := text(d.Body, "hireDate"); day > last.Date {
		row["date"], last.ID = day, nil
		sent = append(sent, "hireDate")
	}
	if err := s.write(ctx, refs["id"], last.ID, row); err != nil {
		return nil, err
	}
	delete(refs, "ended")
	return sent, nil
}

// statusRow is a row of employmentStatus.
type statusRow struct {
	ID     json.RawMessage `json:"id"`
	Date   string          `json:"date"`
	Status string          `json:"employmentStatus"`
	all    map[string]any
}

// has tells whether the row says all that want says.
func (r statusRow) has(want map[string]any) bool {
	for name, v := range want {
		if !same(r.all[name], v) {
			return false
		}
	}
	return true
}

// newest is the last row, planned ones included; zero if there is none.
func (s sink) newest(ctx context.Context, id string) (statusRow, error) {
	rows, err := s.rows(ctx, id, tableStatus)
	if err != nil || len(rows) == 0 {
		return statusRow{}, err
	}
	var last statusRow
	raw := rows[len(rows)-1]
	if json.Unmarshal(raw, &last) != nil || json.Unmarshal(raw, &last.all) != nil {
		return statusRow{}, fault.New(fault.Transient, "answer", "a row of %s is not an object", tableStatus)
	}
	return last, nil
}

// write changes the row with that id, or adds one.
func (s sink) write(ctx context.Context, employee string, rowID json.RawMessage, row map[string]any) error {
	path, template := "/employees/"+employee+"/tables/"+tableStatus, "/employees/{id}/tables/{table}"
	if id, ok := idText(rowID); ok {
		path, template = path+"/"+id, template+"/{row}"
	}
	_, err := s.do(ctx, call{method: http.MethodPost, version: "v1_1", path: path, template: template, json: row, person: true})
	if err != nil {
		return fmt.Errorf("write a row of %s: %w", tableStatus, err)
	}
	return nil
}
