package bamboohr

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

// reader reads one employee with its history tables.
type reader struct {
	*client
	fields []string
	tables []string
}

// maxFields is what one call may ask for.
const maxFields = 400

func newReader(a connector.Account) (connector.Reader, error) {
	c, err := newClient(a)
	if err != nil {
		return nil, err
	}
	r := reader{client: c, fields: a.List("fields"), tables: a.List("tables")}
	if r.fields == nil {
		r.fields = defaultFields
	}
	if r.tables == nil {
		r.tables = defaultTables
	}
	r.fields = slices.Concat(r.fields, a.List("extra_fields"))
	if f := a.Text("our_id_field"); f != "" && !slices.Contains(r.fields, f) {
		r.fields = append(r.fields, f)
	}
	if len(r.fields) > maxFields {
		return nil, fmt.Errorf("bamboohr: %d fields are asked for, and the vendor allows %d", len(r.fields), maxFields)
	}
	return r, nil
}

// Read gives the employee as one JSON object, tables beside the fields. The
// version is the time before the first call: what changes while we read is
// then newer than what we say.
//
// Future values are asked for where every default table is read, so that
// somebody who has not started has a title; the tables say what is in force.
func (r reader) Read(ctx context.Context, key string) (connector.Record, error) {
	rec := connector.Record{Kind: connector.KindRecord, Key: key, Version: readVersion(r.now())}
	if !isID(key) {
		return rec, fault.New(fault.Record, "key", "an employee id of BambooHR is a number above 0")
	}
	query := url.Values{"fields": {strings.Join(r.fields, ",")}}
	if r.hasDefaultTables() {
		query.Set("onlyCurrent", "false")
	}
	var employee map[string]json.RawMessage
	_, err := r.get(ctx, call{path: "/employees/" + key, template: "/employees/{id}", query: query, person: true}, &employee)
	if fault.Reason(err) == reasonMissing {
		rec.Deleted, rec.ID = true, answerID(rec.Version, []byte(key))
		return rec, nil
	}
	if err != nil {
		return rec, err
	}
	if id, _ := idText(employee["id"]); id != key {
		return rec, fault.New(fault.Transient, "answer", "the answer is about another employee or about none")
	}
	if employee["tables"], err = r.history(ctx, key); err != nil {
		return rec, err
	}
	if rec.Body, err = encode(employee); err != nil {
		return rec, fault.New(fault.Record, "encode", "the employee cannot be written as JSON")
	}
	rec.ID = answerID(rec.Version, rec.Body)
	return rec, nil
}

func (r reader) hasDefaultTables() bool {
	for _, t := range defaultTables {
		if !slices.Contains(r.tables, t) {
			return false
		}
	}
	return true
}

// history reads the tables as {"jobInfo": [rows], …}.
func (r reader) history(ctx context.Context, key string) (json.RawMessage, error) {
	tables := make(map[string][]json.RawMessage, len(r.tables))
	for _, name := range r.tables {
		rows, err := r.rows(ctx, key, name)
		if err != nil {
			return nil, err
		}
		tables[name] = rows
	}
	return encode(tables)
}

// rows reads one table of one employee, sorted: the vendor promises no order,
// and an equal state shall give equal bytes.
func (c *client) rows(ctx context.Context, key, table string) ([]json.RawMessage, error) {
	rows := []json.RawMessage{}
	_, err := c.get(ctx, call{
		path: "/employees/" + key + "/tables/" + url.PathEscape(table), template: "/employees/{id}/tables/{table}",
	}, &rows)
	if fault.Reason(err) == reasonMissing {
		// The employee was there a moment ago: either it went, or there is no
		// such table. Another read tells.
		return nil, fault.New(fault.Transient, "table", "the table %s was not found", table)
	}
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", table, err)
	}
	if rows == nil {
		rows = []json.RawMessage{} // null: no rows
	}
	slices.SortStableFunc(rows, func(a, b json.RawMessage) int {
		return cmp.Or(cmp.Compare(dayOf(a), dayOf(b)), bytes.Compare(a, b))
	})
	return rows, nil
}

// dayOf is the day from which a row counts, whatever its table calls it.
func dayOf(row json.RawMessage) string {
	var r struct {
		Date      string `json:"date"`
		StartDate string `json:"startDate"`
	}
	_ = json.Unmarshal(row, &r)
	return cmp.Or(r.Date, r.StartDate)
}

// check makes the poller's cheapest call: it needs the credential and the
// right to see changes, and gives no personal data.
type check struct{ *client }

func newCheck(a connector.Account) (connector.Check, error) {
	c, err := newClient(a)
	return check{c}, err
}

func (c check) Check(ctx context.Context) error {
	var got struct {
		Latest *string `json:"latest"`
	}
	if _, err := c.get(ctx, changedCall(c.now(), ""), &got); err != nil {
		return err
	}
	if got.Latest == nil {
		return fault.New(fault.Target, "answer", "the account's address does not answer as BambooHR: %w", errors.New("no latest"))
	}
	return nil
}
