package mapping

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
)

// meta is the optional meta.json of a case: what surrounds the record or the
// employee.
type meta struct {
	Key     string            `json:"key"` // default "117"
	Event   string            `json:"event"`
	Partial bool              `json:"partial"`
	Deleted bool              `json:"deleted"`
	Version connector.Version `json:"version"`
	Clock   time.Time         `json:"clock"` // default 2026-07-01T12:00:00Z

	ID     string            `json:"id"`
	Type   string            `json:"type"`
	Status string            `json:"status"`
	Refs   map[string]string `json:"refs"` // our ids the target knows → its own
}

// RunCase runs one mapping case: record.json and want.json (an observation), or
// employee.json and want.json (a body); want.err instead of want.json holds the
// text of the expected error. nil means that it passes.
func RunCase(m *Mapping, a *txtar.Archive) error {
	files := map[string][]byte{}
	for _, f := range a.Files {
		files[f.Name] = f.Data
	}
	if strings.TrimSpace(string(a.Comment)) == "" {
		return errors.New("the first line must say why the case exists")
	}
	got, err := RunInput(m, a)
	if want, ok := files["want.err"]; ok {
		switch {
		case err == nil:
			return fmt.Errorf("no error, want %s", bytes.TrimSpace(want))
		case err.Error() != strings.TrimSpace(string(want)):
			return fmt.Errorf("the error is\n%w\nwant\n%s", err, bytes.TrimSpace(want))
		}
		return nil
	}
	if err != nil {
		return err
	}
	data, ok := files["want.json"]
	if !ok {
		return errors.New("there is neither want.json nor want.err")
	}
	want, err := decode(data)
	if err != nil {
		return fmt.Errorf("want.json: %w", err)
	}
	raw, err := json.Marshal(got)
	if err != nil {
		return fmt.Errorf("what came out: %w", err)
	}
	have, err := decode(raw)
	if err != nil {
		return fmt.Errorf("what came out: %w", err)
	}
	if d := cmp.Diff(want, have); d != "" {
		return fmt.Errorf("it differs (-want +got):\n%s", d)
	}
	return nil
}

// RunInput maps what a case holds: an [Observation] or a body.
func RunInput(m *Mapping, a *txtar.Archive) (any, error) {
	info := meta{Key: "117", Clock: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)}
	var record, person []byte
	for _, f := range a.Files {
		switch f.Name {
		case "meta.json":
			d := json.NewDecoder(bytes.NewReader(f.Data))
			d.DisallowUnknownFields()
			if err := d.Decode(&info); err != nil {
				return nil, fmt.Errorf("meta.json: %w", err)
			}
		case "record.json":
			record = f.Data
		case "employee.json":
			person = f.Data
		}
	}
	if m.direction == FromVendor {
		if record == nil {
			return nil, errors.New("there is no record.json")
		}
		return m.Observe(connector.Record{
			Kind: connector.KindRecord, Key: info.Key, Event: info.Event, Version: info.Version,
			Partial: info.Partial, Deleted: info.Deleted, Body: record,
		}, info.Clock)
	}
	v, err := decode(person)
	tree, ok := v.(employee.Tree)
	if err != nil || !ok || person == nil {
		return nil, errors.New("employee.json is missing or no JSON object")
	}
	body, _, err := m.Body(tree, Input{
		ID: info.ID, Type: info.Type, Status: info.Status,
		Ref: func(id string) (string, bool) { theirs, ok := info.Refs[id]; return theirs, ok },
	}, info.Clock)
	return body, err
}
