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
//
// It holds them for everybody, so they are small: a token is its 16 bytes, an
// id is one string wherever it stands, and nothing here is a piece of a message.
type index struct {
	accounts  map[string]*account // by the source's name
	employees map[string]*person
	matches   map[string]map[mac]string  // employee by kind and token
	awaiting  map[string][]string        // tokens of people whom the state does not know yet, by employee
	awaited   map[string]map[string]bool // employees by the token of a person whom they wait for
	responses map[string]*response       // to surveys, by subject
	unlinked  map[string]map[string]bool // subjects of responses by the token of the person who gave them
	found     map[string]bool            // subjects of those whose person has become known
}

// account is what one source has said.
type account struct {
	name       string
	statements map[mac]*statement // by the token of the source's key
}

type statement struct {
	employee string
	status   string
	version  connector.Version
	raw      uint64
	event    mark   // of its last record
	seen     []mark // never changed in place
	rev      revision
}

type person struct {
	version uint64
	rev     revision
	links   []link // at most one of an account
}

// link is the key by which a source knows an employee.
type link struct {
	of    *account
	token mac
}

// revision is the stream sequence at which a subject stands; the next writer
// expects it. It is known only once the commit before is through, so it is a
// place that the commit fills in; statements and people are never moved.
type revision struct{ seq uint64 }

func newIndex() *index {
	return &index{accounts: map[string]*account{}, employees: map[string]*person{}, matches: map[string]map[mac]string{},
		awaiting: map[string][]string{}, awaited: map[string]map[string]bool{},
		responses: map[string]*response{}, unlinked: map[string]map[string]bool{}, found: map[string]bool{}}
}

// load reads the newest message of every subject of PEOPLE. Statements that
// still wait for their link are handed to waiting.
func (ix *index) load(ctx context.Context, b *bus.Bus, waiting func(st record.Statement, token string)) error {
	l := loader{ix: ix, waiting: waiting, texts: map[string]string{}}
	return b.EachLast(ctx, topology.People, "hr.>", l.read)
}

// loader reads messages of PEOPLE into an index.
type loader struct {
	ix      *index
	waiting func(st record.Statement, token string)
	texts   map[string]string
}

// own gives a text of a message that may be kept: the same one for equal texts,
// and no piece of the message.
func (l *loader) own(text string) string {
	own, ok := l.texts[text]
	if !ok {
		own = strings.Clone(text)
		l.texts[own] = own
	}
	return own
}

func (l *loader) read(in bus.In) error {
	if in.Err != nil {
		return in.Err
	}
	ix, last := l.ix, topology.Last(in.Subject)
	switch topology.Token(in.Subject, 1) {
	case "said":
		st, err := record.StatementHead(in.Event)
		if err != nil {
			return err
		}
		*ix.statement(topology.Token(in.Subject, 2), last) = statement{
			employee: l.own(st.Employee), status: l.own(st.Status), version: kept(st.Version), raw: st.Raw,
			event: short(st.Event), seen: marks(st.Seen), rev: revision{in.Seq},
		}
		if st.Employee != "" {
			ix.link(l.own(st.Employee), st.Source, last)
		}
		if st.Status == record.StatusWaiting {
			l.waiting(st, last)
		}
	case "employee":
		var h employee.Head
		if err := head(in, &h); err != nil {
			return err
		}
		id := l.own(h.ID)
		p := ix.person(id)
		p.version, p.rev = h.Version, revision{in.Seq}
		ix.awaits(id, h.Awaits)
	case "match":
		var m reserved
		if err := head(in, &m); err != nil {
			return err
		}
		ix.reserve(topology.Token(in.Subject, 2), last, l.own(m.Employee))
	}
	return nil
}

// person is the entry of an employee, made if there is none.
func (ix *index) person(id string) *person {
	p := ix.employees[id]
	if p == nil {
		p = &person{}
		ix.employees[id] = p
	}
	return p
}

// link notes that a key of a source stands for an employee.
func (ix *index) link(id, source, token string) {
	p, l := ix.person(id), link{ix.account(source), macOf(token)}
	for i := range p.links {
		if p.links[i].of == l.of {
			p.links[i] = l
			return
		}
	}
	p.links = append(p.links, l)
}

func (ix *index) account(source string) *account {
	a := ix.accounts[source]
	if a == nil {
		a = &account{strings.Clone(source), map[mac]*statement{}}
		ix.accounts[a.name] = a
	}
	return a
}

// said is the statement of a key, nil if there is none.
func (ix *index) said(source, token string) *statement {
	if a := ix.accounts[source]; a != nil {
		return a.statements[macOf(token)]
	}
	return nil
}

// statement is the statement of a key, made if there is none.
func (ix *index) statement(source, token string) *statement {
	a, key := ix.account(source), macOf(token)
	st := a.statements[key]
	if st == nil {
		st = &statement{}
		a.statements[key] = st
	}
	return st
}

// owner is the employee who has a match key, "" if nobody.
func (ix *index) owner(kind, token string) string { return ix.matches[kind][macOf(token)] }

// reserve notes whose a match key is from now on.
func (ix *index) reserve(kind, token, id string) {
	of := ix.matches[kind]
	if of == nil {
		of = map[mac]string{}
		ix.matches[strings.Clone(kind)] = of
	}
	of[macOf(token)] = id
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
