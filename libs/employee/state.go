package employee

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tidwall/gjson"
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
	Contains   map[string]uint64 `json:"contains"`         // RAW sequence contained, by statement `<source>.<token>`
	Awaits     []string          `json:"awaits,omitempty"` // tokens of people whom a source named and nobody knows yet
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

// sealedBasic is the basic part as it is stored. Most leaves share their origin
// with many others, so provenance names places in a list of origins.
type sealedBasic struct {
	Said       string         `json:"said,omitempty"`
	Employee   Flat           `json:"employee"`
	Origins    []Origin       `json:"origins"`
	Provenance map[string]int `json:"provenance"` // leaf → index in origins
	Pending    []Pending      `json:"pending,omitempty"`
}

type sealedRestricted struct {
	Employee Flat      `json:"employee"`
	Pending  []Pending `json:"pending,omitempty"`
}

// Encode parts a state into the clear head and the two parts to be sealed;
// restricted is nil when nothing of that kind is known.
func (s *State) Encode(custom CustomClasses) (head, basic, restricted []byte, err error) {
	b, r := Split(s.Fields, custom)
	open := sealedBasic{Said: s.Said, Employee: b, Provenance: make(map[string]int, len(s.Provenance))}
	places := map[Origin]int{}
	for leaf, o := range s.Provenance {
		place, known := places[o]
		if !known {
			place = len(open.Origins)
			places[o] = place
			open.Origins = append(open.Origins, o)
		}
		open.Provenance[leaf] = place
	}
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

// DecodeState puts a state together again from its head, see [ReadHead], and
// the parts that were opened. A
// nil restricted leaves those fields out.
func DecodeState(h Head, basic, restricted []byte) (*State, error) {
	s, err := DecodeFields(h, basic, restricted)
	if err != nil {
		return nil, err
	}
	var b struct {
		Origins    []Origin       `json:"origins"`
		Provenance map[string]int `json:"provenance"`
	}
	if basic != nil {
		if err := json.Unmarshal(basic, &b); err != nil {
			return nil, fmt.Errorf("basic part of an employee: %w", err)
		}
	}
	s.Provenance = make(map[string]Origin, len(b.Provenance))
	for leaf, place := range b.Provenance {
		if place < 0 || place >= len(b.Origins) {
			return nil, fmt.Errorf("basic part of an employee: the origin of a leaf is missing")
		}
		s.Provenance[leaf] = b.Origins[place]
	}
	for _, part := range [][]byte{basic, restricted} {
		var p struct {
			Pending []Pending `json:"pending"`
		}
		if raw := gjson.GetBytes(part, "pending"); !raw.Exists() {
			continue
		}
		if err := decode(part, &p); err != nil {
			return nil, fmt.Errorf("pending part of an employee: %w", err)
		}
		s.Pending = append(s.Pending, p.Pending...)
	}
	return s, nil
}

// DecodeFields is DecodeState without provenance and pending changes: what a
// delivery reads for every change. The parts must be JSON that Encode wrote;
// they were sealed by us, so they are not validated again.
func DecodeFields(h Head, basic, restricted []byte) (*State, error) {
	s := &State{Head: h, Fields: make(Flat, 48)}
	if basic != nil {
		s.Said = gjson.GetBytes(basic, "said").String()
	}
	for _, part := range [][]byte{basic, restricted} {
		if err := s.Fields.read(part); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// read adds the leaves below `employee`. Nearly all are text, which needs no
// general decoder.
func (f Flat) read(part []byte) (err error) {
	gjson.GetBytes(part, "employee").ForEach(func(leaf, v gjson.Result) bool {
		switch v.Type {
		case gjson.String:
			f[leaf.String()] = v.String()
		case gjson.Null:
			f[leaf.String()] = nil
		case gjson.True, gjson.False:
			f[leaf.String()] = v.Bool()
		case gjson.Number:
			f[leaf.String()] = json.Number(v.Raw)
		case gjson.JSON:
			var value any
			if err = decode([]byte(v.Raw), &value); err != nil {
				err = fmt.Errorf("a leaf of an employee: %w", err)
				return false
			}
			f[leaf.String()] = value
		}
		return true
	})
	return err
}

// decode keeps numbers as they were written, so that they compare as written.
func decode(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return d.Decode(v)
}
