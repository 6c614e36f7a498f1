package pipeline

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// index is what transform keeps in memory about everybody: who is linked to
// what, at which revision. It is read from PEOPLE at the start, moves ahead
// with what is staged, and is thrown away whole when a commit fails. It holds
// ids, tokens and versions, never a value of a person.
type index struct {
	statements map[string]*statement // by `<source>.<token>`
	employees  map[string]*person
	matches    map[string]match // by `<kind>.<token>`
	leavers    map[string]uint64
	awaited    map[string]map[string]bool // employees by the token of a person whom they wait for
	responses  map[string]*response       // to surveys, by subject
	unlinked   map[string]map[string]bool // subjects of responses by the token of the person who gave them
	found      map[string]bool            // subjects of those whose person has become known
}

type statement struct {
	employee string
	status   string
	version  connector.Version
	raw      uint64
	event    string // of its last record
	seen     []string
	rev      *revision
}

type person struct {
	version uint64
	links   map[string]string // token by source
	awaits  []string          // tokens of people whom the state does not know yet
	rev     *revision
}

type match struct {
	employee string
}

// revision is the stream sequence at which a subject stands; the next writer
// expects it. It is known only once the commit before is through, so it is a
// place that the commit fills in.
type revision struct{ seq uint64 }

func newIndex() *index {
	return &index{statements: map[string]*statement{}, employees: map[string]*person{}, matches: map[string]match{}, leavers: map[string]uint64{}, awaited: map[string]map[string]bool{},
		responses: map[string]*response{}, unlinked: map[string]map[string]bool{}, found: map[string]bool{}}
}

// load reads the newest message of every subject of PEOPLE. Statements that
// still wait for their link are handed to waiting.
func (ix *index) load(ctx context.Context, b *bus.Bus, waiting func(st record.Statement, token string)) error {
	return b.EachLast(ctx, topology.People, "hr.>", func(in bus.In) error {
		if in.Err != nil {
			return in.Err
		}
		rest, _ := strings.CutPrefix(in.Subject, "hr.")
		kind, rest, _ := strings.Cut(rest, ".")
		switch kind {
		case "said":
			st, err := record.StatementHead(in.Event)
			if err != nil {
				return err
			}
			ix.statements[rest] = &statement{st.Employee, st.Status, st.Version, st.Raw, st.Event, st.Seen, &revision{in.Seq}}
			if st.Employee != "" {
				ix.link(st.Employee, st.Source, topology.Last(in.Subject))
			}
			if st.Status == record.StatusWaiting {
				waiting(st, topology.Last(rest))
			}
		case "employee":
			var h employee.Head
			if err := head(in, &h); err != nil {
				return err
			}
			p := ix.person(h.ID)
			p.version, p.rev = h.Version, &revision{in.Seq}
			ix.awaits(h.ID, h.Awaits)
		case "match":
			var m reserved
			if err := head(in, &m); err != nil {
				return err
			}
			ix.matches[rest] = match{m.Employee}
		case "leaver":
			ix.leavers[rest] = in.Seq
		}
		return nil
	})
}

func (ix *index) person(id string) *person {
	p := ix.employees[id]
	if p == nil {
		p = &person{links: map[string]string{}, rev: &revision{}}
		ix.employees[id] = p
	}
	return p
}

func (ix *index) link(id, source, token string) { ix.person(id).links[source] = token }

func (ix *index) statement(source, token string) *statement {
	key := source + "." + token
	st := ix.statements[key]
	if st == nil {
		st = &statement{rev: &revision{}}
		ix.statements[key] = st
	}
	return st
}

// reserved is the head of a match key and of a leaver pointer.
type reserved struct {
	Employee string `json:"employee"`
	Version  uint64 `json:"version,omitempty"`
}

func head(in bus.In, v any) error {
	h, err := seal.Head(in.Event.Data())
	if err != nil {
		return err
	}
	return json.Unmarshal(h, v)
}
