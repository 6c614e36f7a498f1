package mapping

import (
	"strconv"
	"strings"
	"time"

	"github.com/google/cel-go/interpreter"

	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/fault"
)

// scope is what the rules of one record or one employee see. It is also the
// activation of CEL programs.
type scope struct {
	today  string
	source string // $source, of a target $account
	// of a record
	record  any
	event   string
	key     string
	deleted bool
	partial bool // partial or deleted: defaults and required do not apply
	// of an employee
	employee employee.Tree
	in       *Input
	flags    Flags
	cleared  bool // an expression asked for a field that is null

	item *item  // the element an `each` stands at
	at   string // path that was read last, for errors
	ofIt bool   // at is below item
}

// item is an element of a list, with the list it is in.
type item struct {
	parent *item
	path   string
	below  bool // path is below parent
	index  int
	value  any
}

func newScope(source string, now time.Time) *scope { return &scope{today: day(now), source: source} }

// place is the JSON path of what was read last.
func (s *scope) place() string {
	if !s.ofIt {
		return s.at
	}
	return s.item.place() + "." + s.at
}

func (i *item) place() string {
	if i == nil {
		return ""
	}
	p := i.path + "[" + strconv.Itoa(i.index) + "]"
	if i.below && i.parent != nil {
		return i.parent.place() + "." + p
	}
	return p
}

// fail makes the error for a value that does not fit. what names kinds, never
// values.
func (s *scope) fail(rule, operator, what string) *fault.Error {
	e := fault.New(fault.Record, "mapping", "%s", what)
	e.Path, e.Rule = s.place(), rule+": "+operator
	return e
}

// status is that of the input, else of the employee.
func (s *scope) status() any {
	if s.in != nil && s.in.Status != "" {
		return s.in.Status
	}
	v, _ := walk(map[string]any(s.employee), []seg{{name: "employment"}, {name: "status"}}, "")
	return v
}

// verb is the last word of the event type before its version.
func (s *scope) verb() string {
	if s.in == nil {
		return ""
	}
	words := strings.Split(s.in.Type, ".")
	if n := len(words); n > 1 && strings.HasPrefix(words[n-1], "v") {
		words = words[:n-1]
	}
	return words[len(words)-1]
}

// root is the value of a special root.
func (s *scope) root(name string) (any, state) {
	switch name {
	case "event":
		return orAbsent(s.event)
	case "key":
		return orAbsent(s.key)
	case "source", "account":
		return orAbsent(s.source)
	case "deleted":
		return s.deleted, said
	case "today":
		return s.today, said
	case "record":
		return s.record, said
	case "employee":
		return map[string]any(s.employee), said
	case "item":
		if s.item == nil {
			return nil, absent
		}
		return s.item.value, said
	case "id":
		if s.in == nil {
			return nil, absent
		}
		return orAbsent(s.in.ID)
	case "status":
		if st, ok := s.status().(string); ok {
			return st, said
		}
		return nil, absent
	case "verb":
		return orAbsent(s.verb())
	}
	return nil, absent
}

func orAbsent(t string) (any, state) {
	if t == "" {
		return nil, absent
	}
	return t, said
}

// ResolveName gives CEL its variables.
func (s *scope) ResolveName(name string) (any, bool) {
	switch name {
	case "event":
		return s.event, true
	case "key":
		return s.key, true
	case "source", "account":
		return s.source, true
	case "status":
		st, _ := s.status().(string)
		return st, true
	case "verb":
		return s.verb(), true
	}
	if s.employee != nil {
		if name == "id" && s.in != nil && s.in.ID != "" {
			return s.in.ID, true
		}
		if v, ok := s.employee[name]; ok {
			s.cleared = s.cleared || v == nil
			return v, v != nil
		}
	}
	v, st := s.root(name)
	return v, st == said
}

// Parent is part of the activation.
func (s *scope) Parent() interpreter.Activation { return nil }
