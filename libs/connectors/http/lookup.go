package httpconn

import (
	"context"
	"net/http"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/httpx"
	"github.com/muster-hr/muster/libs/fault"
)

// lookup is the configured way to find a person, or, with {event} in it, one
// change: at a target that keeps each of them as an entry of its own.
type lookup struct {
	target target
	list   string // gjson path of the list that is indexed by [0]; only if isList
	rest   string // gjson path below an entry of the list, or of the whole answer
	isList bool
}

func newLookup(path, result string) (*lookup, error) {
	l := &lookup{}
	var err error
	if l.target, err = parseTarget("lookup.path", path, lookupNames); err != nil {
		return nil, err
	}
	before, after, indexed := strings.Cut(result, "[0]")
	if indexed {
		l.isList = true
		if l.list, err = optionalPath(before); err != nil {
			return nil, err
		}
		after = strings.TrimPrefix(after, ".")
	} else {
		after = result
	}
	l.rest, err = optionalPath(after)
	return l, err
}

// ofPeople tells whether people can be looked up, ofEvents whether changes can.
func (l *lookup) ofPeople() bool { return l != nil && !l.target.needs("event") }
func (l *lookup) ofEvents() bool { return l != nil && l.target.needs("event") }

func optionalPath(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	return jsonPath(s)
}

// Find asks the target's lookup. Several entries where one was expected are
// all unsure. Without a lookup, or without a value for one of its
// placeholders, nobody is found. A change is only asked for when it may have
// been sent before; its person has no other refs than before.
func (s *sink) Find(ctx context.Context, d connector.Delivery) ([]connector.Found, error) {
	if keyOf(d) != "" && !s.lookup.ofEvents() {
		return []connector.Found{{Refs: d.Refs, Sure: true}}, nil
	}
	if s.lookup == nil || s.lookup.ofEvents() && d.Since.IsZero() {
		return nil, nil
	}
	path, query, ok := s.lookup.target.fill(lookupValues(d))
	if !ok {
		return nil, nil
	}
	if err := httpx.WaitOut(ctx, d.Since, s.effects.Consistency, s.now); err != nil {
		return nil, err
	}
	a, err := s.client.Do(ctx, httpx.Call{Method: http.MethodGet, Path: path, Template: s.lookup.target.source, Query: query, Header: s.headers})
	if a.Status == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !gjson.ValidBytes(a.Body) {
		return nil, fault.New(fault.Transient, "answer", "the answer to the lookup is not JSON")
	}
	keys := s.lookup.read(gjson.ParseBytes(a.Body))
	out := make([]connector.Found, 0, len(keys))
	if s.lookup.ofEvents() {
		if len(keys) > 0 {
			out = append(out, connector.Found{Refs: d.Refs, Sure: true})
		}
		return out, nil
	}
	for _, k := range keys {
		out = append(out, connector.Found{Refs: with(d.Refs, refKey, k), Sure: len(keys) == 1})
	}
	return out, nil
}

func (l *lookup) read(answer gjson.Result) []string {
	entries := []gjson.Result{answer}
	if l.isList {
		if l.list != "" {
			answer = answer.Get(l.list)
		}
		entries = answer.Array()
	}
	var keys []string
	for _, e := range entries {
		if l.rest != "" {
			e = e.Get(l.rest)
		}
		if k := e.String(); k != "" && (e.Type == gjson.String || e.Type == gjson.Number) {
			keys = append(keys, k)
		}
	}
	return keys
}

// sure gives the key of the one person found, "" for nobody; what is unsure is
// for a person to decide.
func sure(found []connector.Found) (string, error) {
	switch {
	case len(found) == 0:
		return "", nil
	case len(found) == 1 && found[0].Sure:
		return found[0].Refs[refKey], nil
	}
	return "", fault.New(fault.Record, "ambiguous", "the lookup found %d people", len(found))
}
