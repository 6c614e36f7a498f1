package gusto

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/muster-hr/muster/libs/connector"
)

// perPage of a search.
const perPage = 100

// candidate is an employee who may be the person.
type candidate struct {
	person
	sure bool
}

// Find looks by the UUID we know, else by e-mail among those of the same
// family name; see [sink.search].
func (s *sink) Find(ctx context.Context, d connector.Delivery) ([]connector.Found, error) {
	if id := d.Refs[refID]; id != "" {
		_, err := s.employee(ctx, id)
		switch {
		case err == nil:
			return []connector.Found{{Refs: d.Refs, Sure: true}}, nil
		case !is(err, reasonMissing):
			return nil, err
		}
	}
	list, err := s.search(ctx, d)
	if err != nil {
		return nil, err
	}
	var out []connector.Found
	for _, c := range list {
		out = append(out, connector.Found{Refs: connector.Refs{refID: c.UUID}, Sure: c.sure && len(list) == 1})
	}
	return out, nil
}

// search knows names only, and Gusto has no place for our id: so it asks for
// the family name and compares. Who has the same e-mail is surely the person,
// unless born on another day: couples share one. Who has no e-mail to compare,
// but the same names, birth date and a social security number where we have
// one, too. Same names and birth date with another e-mail, or same names and
// e-mail with another birth date, is for a person to decide.
func (s *sink) search(ctx context.Context, d connector.Delivery) ([]candidate, error) {
	want, _ := d.Body["employee"].(map[string]any)
	family := text(want, "last_name")
	if family == "" {
		return nil, nil
	}
	var like []candidate
	for page := 1; ; page++ {
		var list []person
		query := url.Values{"search_term": {family}, "page": {strconv.Itoa(page)}, "per": {strconv.Itoa(perPage)}}
		if err := s.do(ctx, call{method: http.MethodGet, template: "/v1/companies/{id}/employees", id: s.company, query: query}, &list); err != nil {
			return nil, err
		}
		for _, p := range list {
			switch compare(p, want, d.Match) {
			case isSure:
				return []candidate{{p, true}}, nil
			case isLike:
				like = append(like, candidate{p, false})
			case isAlike:
				like = append(like, candidate{p, true})
			}
		}
		if len(list) < perPage {
			return like, nil
		}
	}
}

type verdict int

const (
	isOther verdict = iota
	isLike          // same names, and either e-mail or birth date is another
	isAlike         // same names and birth date, and no e-mail to tell by
	isSure          // same e-mail, and no other birth date
)

func compare(p person, want map[string]any, m connector.Match) verdict {
	ours := []string{text(want, "work_email"), text(want, "email"), m.WorkEmail}
	told, mailed := false, false
	for _, theirs := range []string{p.text("work_email"), p.text("email")} {
		for _, mail := range ours {
			told = told || mail != "" && theirs != ""
			mailed = mailed || mail != "" && strings.EqualFold(strings.TrimSpace(theirs), mail)
		}
	}
	born, theirs := text(want, "date_of_birth"), p.text("date_of_birth")
	named := strings.EqualFold(p.text("first_name"), text(want, "first_name")) && strings.EqualFold(p.text("last_name"), text(want, "last_name"))
	switch {
	case mailed && (born == "" || theirs == "" || born == theirs):
		return isSure
	case mailed && named: // or a birth date that was corrected
		return isLike
	case !named || born == "" || born != theirs:
		return isOther
	}
	if told || (text(want, "ssn") != "" && !p.HasSSN) {
		return isLike
	}
	return isAlike
}
