package pipeline

import (
	"slices"
	"strings"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/employee"
)

// The kinds of match keys, as they stand in subjects.
const (
	matchEmail  = "email"
	matchNumber = "number"
	matchID     = "national_id"
)

// matchKey is a fact by which one person is recognised in several systems.
type matchKey struct {
	Kind  string
	Token string // HMAC of the normalised value
	leaf  string
}

// name is the key as it stands in subjects.
func (k matchKey) name() string { return k.Kind + "." + k.Token }

// matchKeys are the match keys in a flat person, by leaf. With leaves named,
// only those.
func matchKeys(f employee.Flat, only []string, token func(kind, value string) string) []matchKey {
	var keys []matchKey
	for leaf, v := range f {
		kind, value := "", ""
		switch {
		case leaf == "work_email":
			kind = matchEmail
			value, _ = v.(string)
		case leaf == "employee_number":
			kind = matchNumber
			value, _ = v.(string)
		case strings.HasPrefix(leaf, "national_ids["):
			kind = matchID
			if id, ok := v.(map[string]any); ok {
				value, _ = id["value"].(string)
			}
		}
		if value == "" || only != nil && !slices.Contains(only, leaf) {
			continue
		}
		if kind == matchID {
			value = leaf + "=" + value
		}
		keys = append(keys, matchKey{kind, token(kind, strings.ToLower(value)), leaf})
	}
	slices.SortFunc(keys, func(a, b matchKey) int { return strings.Compare(a.leaf, b.leaf) })
	return keys
}

// verdict is what identify found.
type verdict struct {
	employee string // "" if nobody
	wait     bool   // an unknown key of an account that is also a target
	review   bool   // a person must decide
	create   bool   // a new person
	rule     string
}

// rulebook says how a source recognises people.
type rulebook struct {
	confidence map[string]bool // by match kind: true sure, false unsure; absent: not used
	waits      bool            // the source is also a target
}

// identify decides whose record it is: the statement's link, then our own id
// found in the record, then match keys, else a new person.
//
// Our id is believed only if such an employee exists and no other key of the
// same source has it: a copied record must not take a person over.
func (ix *index) identify(source, token, ours string, keys []matchKey, book rulebook, waited bool) verdict {
	if st := ix.said(source, token); st != nil && st.employee != "" {
		return verdict{employee: st.employee, rule: "link"}
	}
	if p := ix.employees[ours]; ours != "" && p != nil && !ix.linkedElsewhere(ours, source, token) {
		return verdict{employee: ours, rule: "our_id"}
	}
	sure, unsure := "", ""
	for _, k := range keys {
		isSure, used := book.confidence[k.Kind]
		owner := ix.owner(k.Kind, k.Token)
		if !used || owner == "" || ix.linkedElsewhere(owner, source, token) {
			continue
		}
		if !isSure {
			unsure = owner
			continue
		}
		if sure != "" && sure != owner {
			return verdict{review: true, rule: "two_people_match"}
		}
		sure = owner
	}
	switch {
	case sure != "":
		return verdict{employee: sure, rule: "match"}
	case unsure != "":
		return verdict{review: true, rule: "unsure_match"}
	case book.waits && !waited:
		return verdict{wait: true, rule: "link_wait"}
	}
	return verdict{create: true, rule: "new"}
}

// linkedElsewhere tells whether another key of the source already stands for
// the employee.
func (ix *index) linkedElsewhere(id, source, token string) bool {
	p := ix.employees[id]
	if p == nil {
		return false
	}
	for _, l := range p.links {
		if l.of.name == source {
			return l.token != macOf(token)
		}
	}
	return false
}

func rulebooks(c *config.Company) map[string]rulebook {
	books := map[string]rulebook{}
	for name, s := range c.Sources {
		b := rulebook{confidence: map[string]bool{}}
		for _, m := range s.Match {
			b.confidence[matchKind(m.By)] = m.Sure
		}
		b.waits = len(c.AlsoTargets(name)) > 0
		books[name] = b
	}
	return books
}

func matchKind(by string) string {
	switch by {
	case config.ByWorkEmail:
		return matchEmail
	case config.ByEmployeeNumber:
		return matchNumber
	}
	return matchID
}
