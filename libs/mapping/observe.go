package mapping

import (
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/fault"
)

// Observe maps a record. now gives today in its own zone, for rows in force and
// for expressions. What does not fit is a *fault.Error of class Record with the
// place in the record (Path) and the field and operator (Rule).
func (m *Mapping) Observe(rec connector.Record, now time.Time) (Observation, error) {
	o := Observation{Source: m.source, Key: rec.Key, Version: rec.Version, Fields: make(employee.Tree, m.top)}
	body, err := decode(rec.Body)
	if err != nil {
		f := fault.New(fault.Record, "mapping", "the record is not JSON")
		f.Rule = "record: json"
		return Observation{}, f
	}
	s := newScope(m.source, now)
	s.record, s.event, s.key = body, rec.Event, rec.Key
	s.deleted, s.partial = rec.Deleted, rec.Partial || rec.Deleted
	for _, f := range m.rules {
		v, st, err := f.get(s)
		if err != nil {
			return Observation{}, err
		}
		if st == said {
			write(o.Fields, f.put, v)
		}
	}
	if err := onePrimary(o.Fields); err != nil {
		return Observation{}, err
	}
	if m.effective != nil {
		v, _, err := m.effective.get(s)
		if err != nil {
			return Observation{}, err
		}
		o.Effective, _ = v.(string)
	}
	return o, nil
}

// onePrimary refuses two primary positions: which one counts is not ours to
// guess.
func onePrimary(t employee.Tree) *fault.Error {
	list, _ := t["positions"].([]any)
	n := 0
	for _, e := range list {
		p, _ := e.(map[string]any)
		if primary, _ := p["primary"].(bool); primary {
			n++
		}
	}
	if n < 2 {
		return nil
	}
	f := fault.New(fault.Record, "mapping", "more than one primary position")
	f.Rule = "positions: primary"
	return f
}
