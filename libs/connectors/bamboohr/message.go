package bamboohr

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

// message is the body of a webhook, in either kind.
//
//	event-based  {"type": "employee.updated", "timestamp", "data": {"employeeId", "changedFields"}}
//	field-based  {"employees": [{"id", "action", "timestamp", "changedFields", "fields"}]}
type message struct {
	Type      string `json:"type"`
	Timestamp string `json:"timestamp"`
	Data      struct {
		EmployeeID json.RawMessage `json:"employeeId"`
	} `json:"data"`
	Employees *[]entry `json:"employees"`
}

// entry is one employee of a field-based body. The older form has neither
// action nor timestamp.
type entry struct {
	ID        json.RawMessage `json:"id"`
	Action    string          `json:"action"`
	Timestamp string          `json:"timestamp"`
	Fields    json.RawMessage `json:"fields"`
}

func unreadable(path, format string, args ...any) error {
	f := fault.New(fault.Record, "unreadable", format, args...)
	f.Path = path
	return f
}

// open reads an authentic call.
func open(r connector.Request) ([]connector.Record, error) {
	body := bytes.Clone(r.Body)
	if isForm(r) {
		var err error
		if body, err = formToJSON(r.Body); err != nil {
			return nil, err
		}
	}
	var m message
	if err := json.Unmarshal(body, &m); err != nil {
		// The decoder's own text may quote the body.
		return nil, unreadable("", "the body is not the JSON object of a webhook")
	}
	switch {
	case m.Employees != nil:
		return fat(r, *m.Employees)
	case m.Type != "":
		return thin(r, m, body)
	}
	return nil, unreadable("type", "the body has neither a type nor employees")
}

// isForm decides by the body where the content type leaves a doubt: it is not
// covered by the signature.
func isForm(r connector.Request) bool {
	if b := bytes.TrimLeft(r.Body, " \t\r\n"); len(b) > 0 && (b[0] == '{' || b[0] == '[') {
		return false
	}
	return strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
}

// thin gives one hint, also for a deletion: the reader confirms it, because a
// person is not gone on the word of one message.
func thin(r connector.Request, m message, body json.RawMessage) ([]connector.Record, error) {
	rec := connector.Record{Kind: connector.KindIgnored, Event: m.Type, ID: messageID(r, "", 0), Version: timeVersion(m.Timestamp), Body: body}
	switch m.Type {
	case "employee.created", "employee.updated", "employee.deleted":
		id, ok := idText(m.Data.EmployeeID)
		if !ok {
			return nil, unreadable("data.employeeId", "%s names no employee", m.Type)
		}
		rec.Kind, rec.Key, rec.ID = connector.KindHint, id, messageID(r, id, 0)
	}
	return []connector.Record{rec}, nil
}

// fat gives a partial record for each employee with fields, else a hint. One
// entry that cannot be read makes the whole body a dead letter: dropping it
// would be silent, and nobody can say what it was about.
func fat(r connector.Request, entries []entry) ([]connector.Record, error) {
	recs := make([]connector.Record, 0, len(entries))
	for i, e := range entries {
		at := fmt.Sprintf("employees[%d]", i)
		id, ok := idText(e.ID)
		if !ok {
			return nil, unreadable(at+".id", "the entry names no employee")
		}
		fields, err := flatten(e.Fields)
		if err != nil {
			return nil, unreadable(at+".fields", "%w", err)
		}
		event := "employee." + strings.ToLower(e.Action)
		if e.Action == "" {
			event = "employee.updated"
		}
		rec := connector.Record{Kind: connector.KindRecord, Key: id, Event: event, ID: messageID(r, id, i), Version: timeVersion(e.Timestamp), Partial: true}
		if e.Timestamp == "" {
			// Without a time in the body the same change made twice has the same
			// bytes; only the time of sending tells them apart.
			rec.ID = messageID(r, id+"\x00"+r.Header.Get("X-BambooHR-Timestamp"), i)
		}
		if len(fields) == 0 || event == "employee.deleted" {
			rec.Kind, rec.Partial = connector.KindHint, false
		}
		fields["id"], _ = json.Marshal(id) // an alias of that name would be shadowed
		if rec.Body, err = encode(fields); err != nil {
			return nil, unreadable(at+".fields", "the fields cannot be written as JSON")
		}
		recs = append(recs, rec)
	}
	if len(recs) == 0 {
		recs = append(recs, connector.Record{Kind: connector.KindIgnored, ID: messageID(r, "", 0), Body: json.RawMessage(`{"employees":[]}`)})
	}
	return recs, nil
}

// flatten gives the fields by label. PHP prints an empty map as []; the older
// form nests each value as {"value": …}.
func flatten(raw json.RawMessage) (map[string]json.RawMessage, error) {
	fields := map[string]json.RawMessage{}
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" {
		return fields, nil
	}
	if raw[0] == '[' {
		var list []json.RawMessage
		if err := json.Unmarshal(raw, &list); err != nil || len(list) > 0 {
			return nil, errors.New("fields is a list with elements")
		}
		return fields, nil
	}
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, errors.New("fields is not a JSON object")
	}
	for label, v := range fields {
		var nested struct {
			Value json.RawMessage `json:"value"`
		}
		if bytes.HasPrefix(v, []byte("{")) && json.Unmarshal(v, &nested) == nil && nested.Value != nil {
			fields[label] = nested.Value
		}
	}
	return fields, nil
}

// messageID is equal for a repeat of the same message: the vendor has no event
// id. The place in the list keeps two entries of one employee apart.
func messageID(r connector.Request, salt string, place int) string {
	h := sha256.New()
	h.Write(r.Body)
	h.Write([]byte("\x00" + salt + "\x00" + strconv.Itoa(place)))
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// encode writes JSON with sorted keys and without escaping "<", ">" and "&".
func encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
