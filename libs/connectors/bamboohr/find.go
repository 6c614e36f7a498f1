package bamboohr

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

// Find looks for the person in two places: among those created since the
// attempt whose answer was lost, and among those of the same family name.
//
// A match by our own id is sure. Without one, a single person with the same
// work e-mail or employee number is sure too, unless another id of ours is
// written there; several are for a person to decide.
func (s sink) Find(ctx context.Context, d connector.Delivery) ([]connector.Found, error) {
	own, like, err := s.search(ctx, d)
	if err != nil {
		return nil, err
	}
	ids := own
	if len(own) == 0 {
		ids = like
	}
	found := make([]connector.Found, 0, len(ids))
	for _, id := range ids {
		f := connector.Found{Refs: connector.Refs{"id": id}, Sure: len(ids) == 1}
		if len(own) > 0 {
			f.Refs = s.refs(id, d.ID)
		}
		found = append(found, f)
	}
	return found, nil
}

// search gives the ids of those who have our id, and of those who have the
// same e-mail or number and no id of ours.
func (s sink) search(ctx context.Context, d connector.Delivery) (own, like []string, err error) {
	var ids []string
	if !d.Since.IsZero() {
		if ids, err = s.inserted(ctx, d); err != nil {
			return nil, nil, err
		}
	}
	known, err := s.listed(ctx, d)
	if err != nil {
		return nil, nil, err
	}
	for _, id := range known {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for _, id := range ids {
		switch is, err := s.compare(ctx, d, id); {
		case err != nil:
			return nil, nil, err
		case is == isOurs:
			own = append(own, id)
		case is == isLike:
			like = append(like, id)
		}
	}
	return own, like, nil
}

// inserted lists who was created since the attempt.
func (s sink) inserted(ctx context.Context, d connector.Delivery) ([]string, error) {
	var list changedList
	if _, err := s.get(ctx, changedCall(d.Since.Add(-s.overlap), "inserted"), &list); err != nil {
		return nil, err
	}
	hints, err := list.hints()
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, h := range hints {
		ids = append(ids, h.Key)
	}
	return ids, nil
}

// pageSize of the employee list.
const pageSize = 100

// listed gives the employees of the same family name who may be the person:
// same e-mail, same number, or, as far as they are few, same given name. The
// latter would be found only by our own id, which without an attempt that was
// interrupted is there only if our own memory was lost.
func (s sink) listed(ctx context.Context, d connector.Delivery) ([]string, error) {
	family := text(d.Body, "lastName")
	if family == "" {
		return nil, nil
	}
	people, known := s.seen.get(family, s.now())
	if !known || !d.Since.IsZero() {
		var pages int
		var err error
		if people, pages, err = s.list(ctx, family); err != nil {
			return nil, err
		}
		if pages > 1 { // a single page costs one call and is never stale
			s.seen.put(family, people, s.now())
		}
	}
	var ids, named []string
	for _, p := range people {
		switch {
		case p.ours != "" && p.ours != d.ID: // somebody else of ours
		case p.matches(d.Match):
			ids = append(ids, p.id)
		case s.ourField != "" && (!p.looked || p.ours == d.ID) && strings.EqualFold(p.given, text(d.Body, "firstName")):
			named = append(named, p.id)
		}
	}
	if d.Since.IsZero() && len(named) > namesakes {
		named = named[len(named)-namesakes:] // any would do; later ones are younger if the list is in order
	}
	return append(ids, named...), nil
}

// list reads all pages of the people whose family name holds this one. `GET
// /employees` filters by names only, and people who left or have not started
// are in it.
func (s sink) list(ctx context.Context, family string) (people []listed, pages int, err error) {
	query := url.Values{
		"filter[lastName]": {family}, "fields": {"workEmail,employeeNumber"}, "page[limit]": {strconv.Itoa(pageSize)},
	}
	for {
		var page struct {
			Data []struct {
				EmployeeID json.RawMessage `json:"employeeId"`
				FirstName  string          `json:"firstName"`
				identity
			} `json:"data"`
			Links struct {
				Next json.RawMessage `json:"next"`
			} `json:"_links"`
		}
		if _, err := s.get(ctx, call{path: "/employees", template: "/employees", query: query}, &page); err != nil {
			return nil, pages, err
		}
		pages++
		for _, e := range page.Data {
			if id, ok := idText(e.EmployeeID); ok {
				people = append(people, listed{id: id, given: e.FirstName, identity: e.identity})
			}
		}
		next := cursorOf(page.Links.Next)
		if next == "" || next == query.Get("page[after]") {
			return people, pages, nil
		}
		query.Set("page[after]", next)
	}
}

// cursorOf reads `page[after]` out of the link to the next page, which is a
// text or an object with href.
func cursorOf(link json.RawMessage) string {
	var href string
	if json.Unmarshal(link, &href) != nil {
		var o struct {
			Href string `json:"href"`
		}
		_ = json.Unmarshal(link, &o)
		href = o.Href
	}
	u, err := url.Parse(href)
	if err != nil {
		return ""
	}
	return u.Query().Get("page[after]")
}

type verdict int

const (
	isOther verdict = iota
	isLike          // same e-mail or number, no id of ours
	isOurs          // has our id
)

// identity is what tells people apart.
type identity struct {
	WorkEmail      string `json:"workEmail"`
	EmployeeNumber string `json:"employeeNumber"`
}

func (i identity) matches(m connector.Match) bool {
	return m.WorkEmail != "" && strings.EqualFold(strings.TrimSpace(i.WorkEmail), m.WorkEmail) ||
		m.EmployeeNumber != "" && strings.TrimSpace(i.EmployeeNumber) == m.EmployeeNumber
}

// compare reads one candidate.
func (s sink) compare(ctx context.Context, d connector.Delivery, id string) (verdict, error) {
	fields := "workEmail,employeeNumber"
	if s.ourField != "" {
		fields += "," + s.ourField
	}
	var got map[string]json.RawMessage
	_, err := s.get(ctx, call{path: "/employees/" + id, template: "/employees/{id}", query: url.Values{"fields": {fields}}, person: true}, &got)
	if reason := fault.Reason(err); reason == reasonMissing || reason == "forbidden" {
		return isOther, nil // gone since, or not ours to see
	}
	if err != nil {
		return isOther, err
	}
	var who identity
	_ = json.Unmarshal(got["workEmail"], &who.WorkEmail)
	_ = json.Unmarshal(got["employeeNumber"], &who.EmployeeNumber)
	var ours string
	_ = json.Unmarshal(got[s.ourField], &ours)
	s.seen.learn(text(d.Body, "lastName"), id, ours)
	switch {
	case ours != "" && ours == d.ID:
		return isOurs, nil
	case ours == "" && who.matches(d.Match):
		return isLike, nil
	}
	return isOther, nil
}
