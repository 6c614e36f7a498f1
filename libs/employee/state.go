package employee

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Head is the clear head of every message in an employee's log. It holds
// nothing personal: ids, versions, paths.
type Head struct {
	ID         string            `json:"id"`
	Version    uint64            `json:"version"` // counts the employee's changes, from 1
	Status     string            `json:"status"`
	Changed    []string          `json:"changed"`           // patterns
	Source     string            `json:"source"`            // whose record caused it
	Event      string            `json:"event"`             // ce-id of that record
	Initial    bool              `json:"initial,omitempty"` // the first sight of the person
	AcceptedAt time.Time         `json:"accepted_at"`       // when the cause was accepted, for latencies
	Config     string            `json:"config"`
	Contains   map[string]uint64 `json:"contains"` // RAW sequence contained, by statement `<source>.<token>`
}

// Origin is where a leaf's value came from.
type Origin struct {
	Source string    `json:"source"`
	At     time.Time `json:"at"`
}

// Pending is what becomes true on a later day.
type Pending struct {
	Effective string `json:"effective"` // day
	Source    string `json:"source"`
	Fields    Flat   `json:"fields"`
}

// State is an employee as the newest message of the log has it.
type State struct {
	Head
	Said       string            // the status a source said; Head.Status follows from it, the dates and the day
	Fields     Flat              // every leaf, both sealed parts together
	Provenance map[string]Origin // by leaf
	Pending    []Pending
}

type sealedBasic struct {
	Said       string            `json:"said,omitempty"`
	Employee   Flat              `json:"employee"`
	Provenance map[string]Origin `json:"provenance"`
	Pending    []Pending         `json:"pending,omitempty"`
}

type sealedRestricted struct {
	Employee Flat      `json:"employee"`
	Pending  []Pending `json:"pending,omitempty"`
}

// Encode parts a state into the clear head and the two parts to be sealed;
// restricted is nil when nothing of that kind is known.
func (s *State) Encode(custom CustomClasses) (head, basic, restricted []byte, err error) {
	b, r := Split(s.Fields, custom)
	open := sealedBasic{Said: s.Said, Employee: b, Provenance: s.Provenance}
	closed := sealedRestricted{Employee: r}
	for _, p := range s.Pending {
		pb, pr := Split(p.Fields, custom)
		if len(pb) > 0 {
			open.Pending = append(open.Pending, Pending{p.Effective, p.Source, pb})
		}
		if len(pr) > 0 {
			closed.Pending = append(closed.Pending, Pending{p.Effective, p.Source, pr})
		}
	}
	if head, err = json.Marshal(s.Head); err != nil {
		return nil, nil, nil, err
	}
	if basic, err = json.Marshal(open); err != nil {
		return nil, nil, nil, err
	}
	if len(r) > 0 || len(closed.Pending) > 0 {
		restricted, err = json.Marshal(closed)
	}
	return head, basic, restricted, err
}

// DecodeState puts a state together again from the parts that were opened. A
// nil restricted leaves those fields out.
func DecodeState(head, basic, restricted []byte) (*State, error) {
	s := &State{}
	if err := json.Unmarshal(head, &s.Head); err != nil {
		return nil, fmt.Errorf("head of an employee: %w", err)
	}
	var b sealedBasic
	if basic != nil {
		if err := decode(basic, &b); err != nil {
			return nil, fmt.Errorf("basic part of an employee: %w", err)
		}
	}
	s.Said, s.Fields, s.Provenance, s.Pending = b.Said, b.Employee, b.Provenance, b.Pending
	if s.Fields == nil {
		s.Fields = Flat{}
	}
	if restricted != nil {
		var r sealedRestricted
		if err := decode(restricted, &r); err != nil {
			return nil, fmt.Errorf("restricted part of an employee: %w", err)
		}
		for leaf, v := range r.Employee {
			s.Fields[leaf] = v
		}
		s.Pending = append(s.Pending, r.Pending...)
	}
	return s, nil
}

// decode keeps numbers as they were written, so that they compare as written.
func decode(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return d.Decode(v)
}
