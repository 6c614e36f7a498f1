// Package people answers who somebody is, what is known of them and where it
// was sent, straight from the bus: the newest message of an employee's log is
// the state, the statements are what the sources said, the newest message per
// target is its memory. Nothing is kept here.
package people

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// What Directory answers besides a person.
var (
	ErrNotFound = errors.New("no such person")
	ErrErased   = errors.New("the person was erased")
)

// Log reads the newest message of a subject; [bus.Bus] is one.
type Log interface {
	Last(ctx context.Context, stream, subject string) (bus.In, error)
}

// Directory reads people.
type Directory struct {
	Log     Log
	Sealer  *seal.Sealer
	Company string    // part of ce-source
	Targets []Account // configured targets, in order
}

// Account is a configured target. Source is the source that is the same vendor
// account, "" if there is none.
type Account struct{ Name, Source string }

// Summary is a person as a list shows them.
type Summary struct {
	ID       string              `json:"id"`
	Status   string              `json:"status"`
	Version  uint64              `json:"version"`
	External map[string][]string `json:"external"` // ids by source
	Masked   bool                `json:"masked"`
}

// Person is everything about one person.
type Person struct {
	Summary
	Employee   employee.Tree              `json:"employee"`
	Provenance map[string]employee.Origin `json:"provenance"` // by leaf
	Pending    []Pending                  `json:"pending"`
	Sources    []Source                   `json:"sources"`
	Targets    []Target                   `json:"targets"`
}

// Pending is what becomes true on a later day.
type Pending struct {
	Effective string        `json:"effective"` // day
	Source    string        `json:"source"`
	Fields    employee.Tree `json:"fields"`
}

// Source is what one source said last.
type Source struct {
	Source  string             `json:"source"`
	Key     string             `json:"key"`
	Status  string             `json:"status"`
	Version *connector.Version `json:"version"` // null if the vendor gives none
	At      time.Time          `json:"at"`
}

// Target is what came of the last delivery to one target.
type Target struct {
	Target  string            `json:"target"`
	State   string            `json:"state"` // the outcome
	Version uint64            `json:"version"`
	At      time.Time         `json:"at"`
	Refs    map[string]string `json:"refs"`
}

// ByExternal finds a person by an id of one of the sources; "" if nobody is
// linked to it.
func (d *Directory) ByExternal(ctx context.Context, source, key string) (id string, err error) {
	if !topology.ValidToken(source) {
		return "", nil
	}
	in, err := d.last(ctx, topology.People, topology.Said(source, d.codec().Token(source, key)))
	if err != nil || in.Subject == "" {
		return "", err
	}
	st, err := record.StatementHead(in.Event)
	return st.Employee, err
}

// Search finds people by our id, exact work e-mail or exact employee number.
func (d *Directory) Search(ctx context.Context, q string) (ids []string, err error) {
	q = strings.TrimSpace(q)
	if topology.ValidToken(q) {
		in, err := d.last(ctx, topology.People, topology.Employee(q))
		if err != nil {
			return nil, err
		}
		if in.Subject != "" {
			ids = append(ids, q)
		}
	}
	for _, kind := range []string{"email", "number"} {
		in, err := d.last(ctx, topology.People, topology.Match(kind, d.Sealer.Token("match", kind, strings.ToLower(q))))
		if err != nil {
			return nil, err
		}
		if in.Subject == "" {
			continue
		}
		var m struct {
			Employee string `json:"employee"`
		}
		if err := headOf(in, &m); err != nil {
			return nil, err
		}
		if m.Employee != "" && !slices.Contains(ids, m.Employee) {
			ids = append(ids, m.Employee)
		}
	}
	return ids, nil
}

// Summary is the short form of Get.
func (d *Directory) Summary(ctx context.Context, id string) (Summary, error) {
	st, err := d.state(ctx, id)
	if err != nil {
		return Summary{}, err
	}
	sources, _, err := d.around(ctx, st)
	if err != nil {
		return Summary{}, err
	}
	s := summary(st, sources)
	s.mask(st.Fields)
	return s, nil
}

// Get reads a person. Values are masked unless show.
func (d *Directory) Get(ctx context.Context, id string, show bool) (Person, error) {
	st, err := d.state(ctx, id)
	if err != nil {
		return Person{}, err
	}
	p := Person{Provenance: st.Provenance, Pending: []Pending{}}
	if p.Sources, p.Targets, err = d.around(ctx, st); err != nil {
		return Person{}, err
	}
	p.Summary = summary(st, p.Sources)
	p.Masked = !show
	seen := func(f employee.Flat) employee.Flat {
		if show {
			return f
		}
		return Mask(f)
	}
	p.Employee = seen(st.Fields).Tree()
	p.Employee["id"] = st.ID
	for _, later := range st.Pending {
		p.Pending = append(p.Pending, Pending{later.Effective, later.Source, seen(later.Fields).Tree()})
	}
	if !show {
		p.mask(st.Fields)
		for i, s := range p.Sources {
			p.Sources[i].Key = key(s.Key, st.Fields)
		}
		for _, t := range p.Targets {
			maskRefs(t.Refs, st.Fields)
		}
	}
	return p, nil
}

// mask hides the keys that tell who somebody is.
func (s *Summary) mask(f employee.Flat) {
	for _, all := range s.External {
		for i, k := range all {
			all[i] = key(k, f)
		}
	}
}

func summary(st *employee.State, sources []Source) Summary {
	s := Summary{ID: st.ID, Status: st.Status, Version: st.Version, External: map[string][]string{}, Masked: true}
	add := func(source, key string) {
		if key != "" && !slices.Contains(s.External[source], key) {
			s.External[source] = append(s.External[source], key)
		}
	}
	for _, src := range sources {
		add(src.Source, src.Key)
	}
	for leaf, v := range st.Fields {
		source, ok := strings.CutPrefix(leaf, "external.")
		if list, isList := v.([]any); ok && isList {
			for _, key := range list {
				text, _ := key.(string)
				add(source, text)
			}
		}
	}
	return s
}

// Exists is [ErrNotFound] if there never was such a person; who was erased was.
func (d *Directory) Exists(ctx context.Context, id string) error {
	if !topology.ValidToken(id) {
		return ErrNotFound
	}
	in, err := d.last(ctx, topology.People, topology.Employee(id))
	if err == nil && in.Subject == "" {
		err = ErrNotFound
	}
	return err
}

// state reads and opens the newest message of an employee's log.
func (d *Directory) state(ctx context.Context, id string) (*employee.State, error) {
	if !topology.ValidToken(id) {
		return nil, ErrNotFound
	}
	in, err := d.last(ctx, topology.People, topology.Employee(id))
	if err != nil {
		return nil, err
	}
	if in.Subject == "" {
		return nil, ErrNotFound
	}
	env, err := d.Sealer.Open(ctx, id, in.Event.ID()+"|"+in.Event.Type(), in.Event.Data(), seal.Basic, seal.Restricted)
	if errors.Is(err, seal.ErrNoKey) {
		return nil, ErrErased
	}
	if err != nil {
		return nil, fmt.Errorf("state of an employee: %w", err)
	}
	h, err := employee.ReadHead(env.Head)
	if err != nil {
		return nil, err
	}
	st, err := employee.DecodeState(h, env.Basic, env.Restricted)
	if err != nil {
		return nil, err
	}
	if st.Provenance == nil {
		st.Provenance = map[string]employee.Origin{}
	}
	return st, nil
}

// last is the newest message of a subject; no message is not an error, its
// subject is then empty.
func (d *Directory) last(ctx context.Context, stream, subject string) (bus.In, error) {
	in, err := d.Log.Last(ctx, stream, subject)
	if errors.Is(err, bus.ErrNotFound) {
		return bus.In{}, nil
	}
	if err == nil {
		err = in.Err
	}
	return in, err
}

func (d *Directory) codec() record.Codec { return record.Codec{Sealer: d.Sealer, Company: d.Company} }

func headOf(in bus.In, v any) error {
	head, err := seal.Head(in.Event.Data())
	if err != nil {
		return err
	}
	return json.Unmarshal(head, v)
}
