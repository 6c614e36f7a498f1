package scim

import (
	"context"
	"strings"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/httpx"
	"github.com/muster-hr/muster/libs/fault"
)

// Find looks by the id we know, by externalId, and by userName.
func (s *sink) Find(ctx context.Context, d connector.Delivery) ([]connector.Found, error) {
	if err := httpx.WaitOut(ctx, d.Since, s.effects.Consistency, s.now); err != nil {
		return nil, err
	}
	w, err := s.want(d)
	if err != nil {
		return nil, err
	}
	users, err := s.find(ctx, d.Refs[refID], w, false)
	if err != nil {
		return nil, err
	}
	out := make([]connector.Found, 0, len(users))
	for _, u := range users {
		out = append(out, connector.Found{Refs: refs(d.Refs, u), Sure: len(users) == 1 && s.belongs(u, d, w)})
	}
	return out, nil
}

// key is what an account is looked for by.
type key struct {
	attr, value string
	exact       bool // externalId is compared by case, userName is not
}

func (k key) fits(u resource) bool {
	if k.exact {
		return u.text(k.attr) == k.value
	}
	return strings.EqualFold(u.text(k.attr), k.value)
}

func (w wanted) keys() []key {
	var out []key
	if w.externalID != "" {
		out = append(out, key{"externalId", w.externalID, true})
	}
	if w.userName != "" {
		out = append(out, key{"userName", w.userName, false})
	}
	return out
}

// find gives the accounts that match the strongest key. deep lists everybody if
// no filter finds anybody: a server may compare login names by case.
func (s *sink) find(ctx context.Context, id string, w wanted, deep bool) ([]resource, error) {
	if id != "" {
		u, err := s.api.get(ctx, id)
		if !is(err, reasonMissing) {
			return only(u), err
		}
	}
	can, err := s.server.abilities(ctx)
	if err != nil {
		return nil, err
	}
	keys := w.keys()
	if !can.filter {
		return s.scan(ctx, keys)
	}
	var refused error
	answered := false
	for _, k := range keys {
		found, ignored, err := s.filter(ctx, k)
		switch {
		case ignored:
			return s.scan(ctx, keys)
		case err != nil && !filterRefused(err):
			return nil, err
		case err != nil:
			refused = err // this attribute or this text is not filtered for: the next key
			continue
		case len(found) > 0:
			return found, nil
		}
		answered = true
	}
	if deep || refused != nil && !answered {
		return s.scan(ctx, keys)
	}
	return nil, nil
}

// filterRefused tells an answer that means "not by this filter".
func filterRefused(err error) bool {
	f := fault.Of(err)
	return f.Class == fault.Record || f.Reason == reasonUnsupported
}

// filter asks for one key and checks every hit itself: servers exist that
// ignore filters and answer with everybody, and ignored tells that.
func (s *sink) filter(ctx context.Context, k key) (found []resource, ignored bool, err error) {
	tries := []string{k.value}
	if low := strings.ToLower(k.value); !k.exact && low != k.value {
		tries = append(tries, low)
	}
	for _, v := range tries {
		// Two are enough to see that it is not one.
		rows, err := s.api.list(ctx, k.attr+" eq "+quote(v), 1, 2)
		if err != nil {
			return nil, false, err
		}
		for _, u := range rows {
			switch {
			case k.fits(u):
				found = add(found, u)
			case !strings.EqualFold(u.text(k.attr), k.value):
				return nil, true, nil
			}
		}
		if len(found) > 0 {
			break
		}
	}
	return found, false, nil
}

// page is how many are listed at once, the usual most of a server.
const page = 100

// scan lists everybody, until a page brings nobody new: startIndex may be
// ignored, and totals may be wrong.
func (s *sink) scan(ctx context.Context, keys []key) ([]resource, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	hits := make([][]resource, len(keys))
	seen := map[string]bool{}
	for {
		rows, err := s.api.list(ctx, "", len(seen)+1, page)
		if err != nil {
			return nil, err
		}
		fresh := 0
		for _, u := range rows {
			if seen[u.id()] {
				continue
			}
			seen[u.id()] = true
			fresh++
			for i, k := range keys {
				if k.fits(u) {
					hits[i] = add(hits[i], u)
				}
			}
		}
		if fresh == 0 {
			break
		}
		if len(seen) > s.scanLimit {
			return nil, &fault.Error{Class: fault.Target, Reason: "scan_limit", Err: fault.New(fault.Target, "",
				"the server does not filter, and has more than scan_limit accounts").Err}
		}
	}
	for _, h := range hits {
		if len(h) > 0 {
			return h, nil
		}
	}
	return nil, nil
}

// add puts a user behind others, once.
func add(list []resource, u resource) []resource {
	for _, x := range list {
		if x.id() == u.id() {
			return list
		}
	}
	return append(list, u)
}

func only(u resource) []resource {
	if u == nil {
		return nil
	}
	return []resource{u}
}

// belongs tells whether an account is surely this person's: by the id we know,
// or by externalId. One with our login and without externalId is taken over,
// unless another employee number stands on it.
func (s *sink) belongs(u resource, d connector.Delivery, w wanted) bool {
	if d.Refs[refID] != "" && u.id() == d.Refs[refID] {
		return true
	}
	if x := u.text("externalId"); x != "" {
		return x == w.externalID
	}
	n, _ := u.at(place{urn: schemaEnterprise, attr: "employeeNumber"}).(string)
	return n == "" || n == w.number
}
