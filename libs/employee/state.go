package employee

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/muster-hr/muster/libs/internal/appendjson"
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

// Encode parts a state into the clear head and the two parts to be sealed;
// restricted is nil when nothing of that kind is known.
//
//	basic       {"said", "employee": Flat, "origins": [Origin], "provenance": {leaf: index in origins}, "pending": [Pending]}
//	restricted  {"employee": Flat, "pending": [Pending]}
//
// Most leaves share their origin with many others, so provenance names places
// in a list of origins. Every employee is written once per change: by hand.
func (s *State) Encode(custom CustomClasses) (head, basic, restricted []byte, err error) {
	if head, err = s.Head.encode(); err != nil {
		return nil, nil, nil, err
	}
	var openRoom, closedRoom [40]said // most have fewer
	open, closed := s.Fields.split(openRoom[:0], closedRoom[:0], custom)
	var openLater, closedLater []Pending
	for _, p := range s.Pending {
		b, r := Split(p.Fields, custom)
		if len(b) > 0 {
			openLater = append(openLater, Pending{p.Effective, p.Source, b})
		}
		if len(r) > 0 {
			closedLater = append(closedLater, Pending{p.Effective, p.Source, r})
		}
	}
	if basic, err = s.encodeBasic(open, openLater); err != nil {
		return nil, nil, nil, err
	}
	if len(closed)+len(closedLater) > 0 {
		restricted, err = encodeRestricted(closed, closedLater)
	}
	return head, basic, restricted, err
}

func (h *Head) encode() ([]byte, error) {
	size := 192 + len(h.ID) + len(h.Source) + len(h.Event) + len(h.Config) + 64*(len(h.Contains)+len(h.Awaits))
	for _, p := range h.Changed {
		size += len(p) + 3
	}
	o := appendjson.NewObject(size)
	o.Text("id", h.ID)
	o.Uint("version", h.Version)
	o.Text("status", h.Status)
	o.Texts("changed", h.Changed)
	o.Text("source", h.Source)
	o.Text("event", h.Event)
	o.True("initial", h.Initial)
	o.Time("accepted_at", h.AcceptedAt)
	o.Text("config", h.Config)
	o.Add("contains", func(b []byte) ([]byte, error) {
		return appendjson.Map(b, h.Contains, func(b []byte, seq uint64) ([]byte, error) { return strconv.AppendUint(b, seq, 10), nil })
	})
	o.SomeTexts("awaits", h.Awaits)
	return o.Bytes()
}

func (s *State) encodeBasic(leaves []said, later []Pending) ([]byte, error) {
	var leafRoom [40]string // most have fewer
	var originRoom [8]Origin
	var placeRoom [40]int
	known, origins, places := leafRoom[:0], originRoom[:0], placeRoom[:0]
	size := sizeOf(leaves) + 96
	for leaf := range s.Provenance {
		known = append(known, leaf)
		size += len(leaf) + len(`"":0,`)
	}
	slices.Sort(known) // so that equal states are equal bytes
	for _, leaf := range known {
		o := s.Provenance[leaf]
		place := slices.Index(origins, o)
		if place < 0 {
			place = len(origins)
			origins = append(origins, o)
			size += len(o.Source) + len(`{"source":"","at":"2006-01-02T15:04:05.999999999Z"},`)
		}
		places = append(places, place)
	}
	if len(origins) == 0 {
		origins = nil
	}
	o := appendjson.NewObject(size)
	o.SomeText("said", s.Said)
	o.Add("employee", func(b []byte) ([]byte, error) { return encodeLeaves(b, leaves) })
	o.Add("origins", func(b []byte) ([]byte, error) { return appendjson.List(b, origins, encodeOrigin) })
	o.Add("provenance", func(b []byte) ([]byte, error) {
		b = append(b, '{')
		for i, leaf := range known {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(append(appendjson.Text(b, leaf), ':'), int64(places[i]), 10)
		}
		return append(b, '}'), nil
	})
	somePending(&o, later)
	return o.Bytes()
}

func encodeRestricted(leaves []said, later []Pending) ([]byte, error) {
	o := appendjson.NewObject(sizeOf(leaves) + 32)
	o.Add("employee", func(b []byte) ([]byte, error) { return encodeLeaves(b, leaves) })
	somePending(&o, later)
	return o.Bytes()
}

func encodeOrigin(b []byte, o Origin) ([]byte, error) {
	b = appendjson.Text(append(b, `{"source":`...), o.Source)
	b, err := appendjson.Time(append(b, `,"at":`...), o.At)
	return append(b, '}'), err
}

func somePending(o *appendjson.Object, later []Pending) {
	if len(later) == 0 {
		return
	}
	o.Add("pending", func(b []byte) ([]byte, error) {
		return appendjson.List(b, later, func(b []byte, p Pending) ([]byte, error) {
			b = appendjson.Text(append(b, `{"effective":`...), p.Effective)
			b = appendjson.Text(append(b, `,"source":`...), p.Source)
			b, err := appendjson.Map(append(b, `,"fields":`...), p.Fields, appendjson.Value)
			return append(b, '}'), err
		})
	})
}

// said is one leaf with its value.
type said struct {
	leaf  string
	value any
}

// split sorts the leaves into what is sealed as basic and as restricted, behind
// what the two lists hold.
func (f Flat) split(basic, restricted []said, custom CustomClasses) (_, _ []said) {
	for leaf, v := range f {
		if ClassOf(leaf, custom).Restricted() {
			restricted = append(restricted, said{leaf, v})
		} else {
			basic = append(basic, said{leaf, v})
		}
	}
	byLeaf := func(a, b said) int { return strings.Compare(a.leaf, b.leaf) }
	slices.SortFunc(basic, byLeaf)
	slices.SortFunc(restricted, byLeaf)
	return basic, restricted
}

func encodeLeaves(b []byte, leaves []said) (_ []byte, err error) {
	b = append(b, '{')
	for i, l := range leaves {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendjson.Value(append(appendjson.Text(b, l.leaf), ':'), l.value); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// sizeOf is about how many bytes encodeLeaves appends.
func sizeOf(leaves []said) int {
	size := 0
	for _, l := range leaves {
		size += len(l.leaf) + len(`"":"",`)
		switch v := l.value.(type) {
		case string:
			size += len(v)
		case Tree, []any:
			size += 64
		}
	}
	return size
}

// DecodeState puts a state together again from its head, see [ReadHead], and
// the parts that were opened. A
// nil restricted leaves those fields out.
func DecodeState(h Head, basic, restricted []byte) (*State, error) {
	s, err := DecodeFields(h, basic, restricted, nil)
	if err != nil {
		return nil, err
	}
	if s.Provenance, err = readProvenance(basic); err != nil {
		return nil, fmt.Errorf("basic part of an employee: %w", err)
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

func readProvenance(basic []byte) (map[string]Origin, error) {
	if basic == nil {
		return map[string]Origin{}, nil
	}
	if !gjson.ValidBytes(basic) {
		return nil, errors.New("not JSON")
	}
	var room [8]Origin // most have fewer
	origins := room[:0]
	for _, v := range gjson.GetBytes(basic, "origins").Array() {
		at, err := time.Parse(time.RFC3339Nano, v.Get("at").String())
		if err != nil {
			return nil, errors.New("the time of an origin cannot be read") // what stands there is not repeated
		}
		origins = append(origins, Origin{v.Get("source").String(), at})
	}
	places := gjson.GetBytes(basic, "provenance")
	out := make(map[string]Origin, strings.Count(places.Raw, ":"))
	var err error
	places.ForEach(func(leaf, v gjson.Result) bool {
		place := v.Int()
		if v.Type != gjson.Number || place < 0 || place >= int64(len(origins)) {
			err = errors.New("the origin of a leaf is missing")
			return false
		}
		out[leaf.String()] = origins[place]
		return true
	})
	return out, err
}

// DecodeFields is DecodeState without provenance and pending changes: what a
// delivery reads for every change. The parts must be JSON that Encode wrote;
// they were sealed by us, so they are not validated again. Leaves that keep says
// no to are left out; nil keeps all.
func DecodeFields(h Head, basic, restricted []byte, keep func(leaf string) bool) (*State, error) {
	s := &State{Head: h}
	if basic != nil {
		s.Said = gjson.GetBytes(basic, "said").String()
	}
	var room [40]said // most have fewer
	leaves, err := readLeaves(room[:0], basic, keep)
	if err != nil {
		return nil, err
	}
	if leaves, err = readLeaves(leaves, restricted, keep); err != nil {
		return nil, err
	}
	s.Fields = flat(leaves)
	return s, nil
}

// readLeaves adds the leaves below `employee`. Nearly all are text, which needs
// no general decoder.
func readLeaves(leaves []said, part []byte, keep func(string) bool) (_ []said, err error) {
	gjson.GetBytes(part, "employee").ForEach(func(leaf, v gjson.Result) bool {
		if keep != nil && !keep(leaf.String()) {
			return true
		}
		if v.Type == gjson.JSON && !gjson.Valid(v.Raw) {
			err = fmt.Errorf("a leaf of an employee: not JSON")
			return false
		}
		leaves = append(leaves, said{leaf.String(), valueOf(v)})
		return true
	})
	return leaves, err
}

// valueOf keeps numbers as they were written, so that they compare as written.
func valueOf(v gjson.Result) any {
	switch {
	case v.Type == gjson.String:
		return v.String()
	case v.IsBool():
		return v.Bool()
	case v.Type == gjson.Number:
		return json.Number(v.Raw)
	case v.IsObject():
		tree := Tree{}
		v.ForEach(func(name, inner gjson.Result) bool {
			tree[name.String()] = valueOf(inner)
			return true
		})
		return tree
	case v.IsArray():
		list := []any{}
		v.ForEach(func(_, inner gjson.Result) bool {
			list = append(list, valueOf(inner))
			return true
		})
		return list
	}
	return nil
}

// decode keeps numbers as they were written, so that they compare as written.
func decode(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return d.Decode(v)
}
