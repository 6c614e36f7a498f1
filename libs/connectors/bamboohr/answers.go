package bamboohr

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"github.com/muster-hr/muster/libs/connector"
)

// answers opens answers of the API as they were saved.
type answers struct{}

func newAnswers(connector.Account) (connector.Answers, error) { return answers{}, nil }

// OpenAnswer tells by its shape what was asked:
//
//	{"id": …}                          one employee           → a whole record
//	[{"employeeId": …}, …]             rows of one table      → a partial record per employee
//	{"latest", "employees": {…}}       employees/changed      → hints
//	{"table", "employees": {…}}        employees/changed/tables/{table} → partial records
//
// Anything else is a fault of class Record. now stands for the start of the read.
func (answers) OpenAnswer(body []byte, now time.Time) ([]connector.Record, error) {
	body = bytes.TrimSpace(bytes.Clone(body))
	if bytes.HasPrefix(body, []byte("[")) {
		return openRows(body, now)
	}
	var shape struct {
		ID        json.RawMessage `json:"id"`
		Latest    *string         `json:"latest"`
		Table     string          `json:"table"`
		Employees json.RawMessage `json:"employees"`
	}
	if err := json.Unmarshal(body, &shape); err != nil {
		return nil, unreadable("", "the answer is not JSON of a known shape")
	}
	switch id, hasID := idText(shape.ID); {
	case shape.Latest != nil:
		return changedList{Latest: *shape.Latest, Employees: shape.Employees}.hints()
	case shape.Table != "":
		return openChangedTable(shape.Table, shape.Employees)
	case hasID:
		v := readVersion(now)
		return []connector.Record{{Kind: connector.KindRecord, Key: id, ID: answerID(v, body), Version: v, Body: body}}, nil
	}
	return nil, unreadable("id", "the answer is neither an employee nor a list of the API")
}

// openRows groups the rows of a table by employee. The answer does not name
// its table; the columns do.
func openRows(body []byte, now time.Time) ([]connector.Record, error) {
	var rows []json.RawMessage
	if err := json.Unmarshal(body, &rows); err != nil {
		return nil, unreadable("", "the answer is not a JSON list")
	}
	byEmployee := map[string][]json.RawMessage{}
	table := ""
	for _, raw := range rows {
		var columns map[string]json.RawMessage
		if err := json.Unmarshal(raw, &columns); err != nil {
			return nil, unreadable("[]", "a row is not an object")
		}
		id, ok := idText(columns["employeeId"])
		if !ok {
			return nil, unreadable("[].employeeId", "a row names no employee")
		}
		if table == "" {
			table = tableOf(columns)
		}
		byEmployee[id] = append(byEmployee[id], raw)
	}
	if len(rows) > 0 && table == "" {
		return nil, unreadable("[]", "the columns are of none of the tables that are known")
	}
	return tableRecords(table, byEmployee, func(string) connector.Version { return readVersion(now) })
}

// tableOf recognises a table by a column that only it has.
func tableOf(columns map[string]json.RawMessage) string {
	for _, t := range []struct{ column, table string }{
		{"jobTitle", tableJob}, {"reportsTo", tableJob},
		{"employmentStatus", tableStatus},
		{"rate", tableCompensation}, {"paidPer", tableCompensation},
	} {
		if _, has := columns[t.column]; has {
			return t.table
		}
	}
	return ""
}

func openChangedTable(table string, raw json.RawMessage) ([]connector.Record, error) {
	people := map[string]struct {
		LastChanged string            `json:"lastChanged"`
		Rows        []json.RawMessage `json:"rows"`
	}{}
	if err := phpMap(raw, &people); err != nil {
		return nil, err
	}
	rows := make(map[string][]json.RawMessage, len(people))
	for id, p := range people {
		if !isID(id) {
			return nil, unreadable("employees", "an entry of the list names no employee")
		}
		rows[id] = p.Rows
	}
	return tableRecords(table, rows, func(id string) connector.Version { return timeVersion(people[id].LastChanged) })
}

// tableRecords makes one partial record per employee, in the shape of a read:
// {"id": "4117", "tables": {"jobInfo": [rows]}}.
func tableRecords(table string, rows map[string][]json.RawMessage, version func(id string) connector.Version) ([]connector.Record, error) {
	recs := make([]connector.Record, 0, len(rows))
	for id, r := range rows {
		if r == nil {
			r = []json.RawMessage{}
		}
		body, err := encode(map[string]any{"id": id, "tables": map[string]any{table: r}})
		if err != nil {
			return nil, unreadable("[]", "a row cannot be written as JSON")
		}
		v := version(id)
		recs = append(recs, connector.Record{
			Kind: connector.KindRecord, Key: id, ID: answerID(v, body), Version: v, Partial: true, Body: body,
		})
	}
	slices.SortFunc(recs, func(a, b connector.Record) int {
		return cmp.Or(cmp.Compare(len(a.Key), len(b.Key)), cmp.Compare(a.Key, b.Key))
	})
	return recs, nil
}

// answerID tells two reads of an equal state apart: between them it may have
// been another.
func answerID(v connector.Version, body []byte) string {
	return bodyID(append([]byte(v.Value+"\x00"), body...))
}

func bodyID(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:16])
}
