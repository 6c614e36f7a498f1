package edi834

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	"github.com/muster-hr/muster/libs/connectors/edi834/x12"
)

// who is somebody as their loop names them, in the carrier's codes.
type who struct {
	name         [4]string // family, given, middle, suffix
	idq, id      string    // NM108, NM109
	birth        string    // YYYYMMDD
	gender       string
	marital      string
	relationship string // INS02
	standing     string // INS08, of a subscriber
	sequence     string // INS17
	contact      []x12.Segment
	home         []x12.Segment
	mailing      []x12.Segment
	refs         []x12.Segment
}

// identity is what a carrier knows somebody by. Something new is no change of it.
func (w who) identityChanged(was who) bool {
	return was.name != w.name || was.birth != w.birth || was.gender != w.gender || was.id != "" && was.id != w.id
}

func equalSegments(a, b []x12.Segment) bool {
	return slices.EqualFunc(a, b, func(x, y x12.Segment) bool { return slices.Equal(x, y) })
}

// moved tells whether where somebody is reached has changed.
func (w who) moved(was who) bool {
	return !equalSegments(w.home, was.home) || !equalSegments(w.mailing, was.mailing)
}

// differs tells whether anything has changed but places and identity.
func (w who) differs(was who) bool {
	return w.marital != was.marital || w.relationship != was.relationship || w.standing != was.standing || w.id != was.id ||
		!equalSegments(w.contact, was.contact) || !equalSegments(w.refs, was.refs)
}

// element makes an element of a text: cleaned and not longer than most.
func (p *profile) element(s, path, rule string, most int) (string, error) {
	made, err := p.clean(s)
	switch {
	case err != nil, made == "" && strings.TrimSpace(s) != "":
		return "", bad("character", path, rule)
	case len(made) > most:
		return "", bad("too_long", path, rule)
	}
	return made, nil
}

// person makes the names, ids and dates that subscribers and dependants have.
func (p *profile) person(in person, path string, subscriber bool) (w who, err error) {
	for i, f := range []struct {
		value, name, rule string
		most              int
		required          bool
	}{
		{in.Family, "family", "2100A/NM103", 60, true}, {in.Given, "given", "2100A/NM104", 35, true},
		{in.Middle, "middle", "2100A/NM105", 25, false}, {in.Suffix, "suffix", "2100A/NM107", 10, false},
	} {
		if f.required && strings.TrimSpace(f.value) == "" {
			return w, bad("missing", path+"."+f.name, f.rule)
		}
		if w.name[i], err = p.element(f.value, path+"."+f.name, f.rule, f.most); err != nil {
			return w, err
		}
	}
	switch {
	case in.BirthDate == "":
		return w, bad("missing", path+".birth_date", "2100A/DMG02")
	case !isDay(in.BirthDate):
		return w, bad("bad_date", path+".birth_date", "2100A/DMG02")
	}
	w.birth = d8(in.BirthDate)
	w.gender = cmp.Or(genders[in.Gender], "U")
	w.marital = marital[in.Marital]
	return w, p.identify(&w, in, path, subscriber)
}

// identify sets NM108 and NM109, which come together or not at all.
func (p *profile) identify(w *who, in person, path string, subscriber bool) (err error) {
	switch p.word("member_id") {
	case "ssn":
		if in.SSN != "" {
			w.idq = "34"
			w.id, err = ssn(in.SSN, path+".ssn", "2100A/NM109")
			return err
		}
	case "number":
		if subscriber && in.Number != "" {
			w.idq = "ZZ"
			w.id, err = p.element(in.Number, path+".number", "2100A/NM109", 80)
			return err
		}
		if !subscriber {
			return nil
		}
	default:
		return nil
	}
	if p.Text("member_id_missing") == "hold" {
		return bad("no_member_id", path, "member_id_missing")
	}
	return nil
}

// ssn reads a social security number; one that was only put in its place is
// refused, since a carrier may believe it.
func ssn(s, path, rule string) (string, error) {
	d := strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' {
			return -1
		}
		return r
	}, s)
	if len(d) != 9 || strings.Trim(d, "0123456789") != "" || strings.Trim(d, d[:1]) == "" || d == "123456789" || d == "987654321" || d[:3] == "000" || d[3:5] == "00" || d[5:] == "0000" {
		return "", bad("bad_ssn", path, rule)
	}
	return d, nil
}

func d8(on string) string { return strings.ReplaceAll(on, "-", "") }

// number is REF*0F.
func (p *profile) number(b body) (string, error) {
	if p.Text("subscriber_id") == "ssn" {
		if b.Subscriber.SSN == "" {
			return "", bad("missing", "subscriber.ssn", "2000/REF*0F")
		}
		return ssn(b.Subscriber.SSN, "subscriber.ssn", "2000/REF*0F")
	}
	n, err := p.element(b.Subscriber.Number, "subscriber.number", "2000/REF*0F", 50)
	if err == nil && n == "" {
		return "", bad("missing", "subscriber.number", "2000/REF*0F")
	}
	return n, err
}

// subscriber makes the employee's part; bare: without contact, addresses and
// references.
func (p *profile) subscriber(b body, bare bool) (w who, err error) {
	if w, err = p.person(b.Subscriber, "subscriber", true); err != nil {
		return w, err
	}
	w.relationship = "18"
	w.standing = "AC"
	switch {
	case b.over():
		w.standing = "TE"
	case b.Status == "leave":
		w.standing = "L1"
	case b.Employment.Type == "full_time":
		w.standing = "FT"
	case b.Employment.Type == "part_time":
		w.standing = "PT"
	}
	if bare {
		return w, nil
	}
	if w.contact, err = p.reached(b.Contact); err != nil {
		return w, err
	}
	if w.home, err = p.place(b.Home, "home", "2100A"); err != nil {
		return w, err
	}
	if w.mailing, err = p.place(b.Mailing, "mailing", "2100C"); err != nil {
		return w, err
	}
	if equalSegments(w.mailing, w.home) {
		w.mailing = nil
	}
	for _, q := range p.refs {
		name := p.Table("client_refs")[q]
		value, err := p.element(b.Reporting[name], "reporting."+name, "2000/REF*"+q, 50)
		if err != nil {
			return w, err
		}
		if value != "" {
			w.refs = append(w.refs, x12.Segment{"REF", q, value})
		}
	}
	return w, nil
}

// dependantOf makes a family member's part; bare: without an address.
func (p *profile) dependantOf(b body, d dependant, path string, bare bool) (w who, err error) {
	if w, err = p.person(d.person, path, false); err != nil {
		return w, err
	}
	if w.relationship = p.relationships[folded(d.Relationship)]; w.relationship == "" {
		reason := "no_relationship_code"
		if d.Relationship == "" {
			reason = "missing"
		}
		return w, bad(reason, path+".relationship", "relationship_map")
	}
	if w.relationship == "01" {
		w.marital = marital["married"] // that is what a spouse is; nobody says it of the others
	}
	w.sequence = birthSequence(b, d)
	if bare {
		return w, nil
	}
	home, err := p.place(b.Home, "home", "2100A")
	if err != nil {
		return w, err
	}
	if w.home, err = p.place(d.Address, path+".address", "2100A"); err != nil {
		return w, err
	}
	if equalSegments(w.home, home) {
		w.home = nil
	}
	return w, nil
}

// birthSequence tells children of one birth apart, in the order of their ids.
func birthSequence(b body, d dependant) string {
	var born []string
	for _, o := range b.Dependants {
		if o.BirthDate == d.BirthDate && folded(o.Relationship) == folded(d.Relationship) && !slices.Contains(born, o.ID) {
			born = append(born, o.ID)
		}
	}
	slices.Sort(born)
	if i := slices.Index(born, d.ID); len(born) > 1 && i < 9 {
		return string(rune('1' + i))
	}
	return ""
}

// reached makes PER.
func (p *profile) reached(c contact) ([]x12.Segment, error) {
	per := x12.Segment{"PER", "IP", ""}
	for _, f := range []struct{ qualifier, value, path string }{{"HP", c.HomePhone, "contact.home_phone"}, {"CP", c.MobilePhone, "contact.mobile_phone"}} {
		digits := strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return r
			}
			return -1
		}, f.value)
		if strings.HasPrefix(strings.TrimSpace(f.value), "+1") || len(digits) == 11 && digits[0] == '1' {
			digits = digits[1:]
		}
		switch {
		case f.value == "":
		case len(digits) < 7 || len(digits) > 15:
			return nil, bad("bad_phone", f.path, "2100A/PER04")
		default:
			per = append(per, f.qualifier, digits)
		}
	}
	if c.Email != "" && !p.basic { // the basic set has no @
		email, err := p.clean(c.Email)
		if err != nil || len(email) != len(c.Email) || len(email) > 256 || strings.ContainsFunc(email, unicode.IsSpace) || strings.Count(email, "@") != 1 {
			return nil, bad("character", "contact.email", "2100A/PER")
		}
		per = append(per, "EM", email)
	}
	if len(per) == 3 {
		return nil, nil
	}
	return []x12.Segment{per}, nil
}

// place makes N3 and N4 of an address; none of one that says nothing.
func (p *profile) place(a *address, path, loop string) ([]x12.Segment, error) {
	if a == nil || len(a.Lines) == 0 && a.City == "" && a.Postal == "" {
		return nil, nil
	}
	n3 := x12.Segment{"N3"}
	for _, text := range a.Lines {
		made, err := p.element(text, path+".lines", loop+"/N3", 55)
		if err != nil {
			return nil, err
		}
		if made == "" {
			continue
		}
		if len(n3) == 3 {
			return nil, bad("too_long", path+".lines", loop+"/N3 has two lines")
		}
		n3 = append(n3, made)
	}
	city, err := p.element(a.City, path+".city", loop+"/N401", 30)
	switch {
	case err != nil:
		return nil, err
	case len(n3) == 1:
		return nil, bad("missing", path+".lines", loop+"/N301")
	case len(city) < 2:
		return nil, bad("missing", path+".city", loop+"/N401")
	}
	n4, err := p.region(a, path, loop)
	if err != nil {
		return nil, err
	}
	n4[1] = city
	return []x12.Segment{n3, trimmed(n4)}, nil
}

// region makes N402 to N404. The country is told only where it is not the US.
func (p *profile) region(a *address, path, loop string) (x12.Segment, error) {
	country := strings.ToUpper(cmp.Or(a.Country, "US"))
	region := strings.ToUpper(strings.TrimPrefix(strings.ToUpper(a.Region), country+"-"))
	postal := strings.ToUpper(strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' {
			return -1
		}
		return r
	}, a.Postal))
	if strings.ContainsFunc(postal, func(r rune) bool { return r > 'Z' || !alphanumeric(byte(r)) }) || len(postal) > 15 {
		return nil, bad("bad_code", path+".postal_code", loop+"/N403")
	}
	digits := strings.Trim(postal, "0123456789") == ""
	switch {
	case len(country) != 2 || strings.Trim(country, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "":
		return nil, bad("bad_code", path+".country", loop+"/N404")
	case country == "US" && !known(states, region):
		return nil, bad("bad_code", path+".region", loop+"/N402")
	case country == "US" && (!digits || len(postal) != 5 && len(postal) != 9):
		return nil, bad("bad_code", path+".postal_code", loop+"/N403")
	case country == "CA" && !known(provinces, region):
		return nil, bad("bad_code", path+".region", loop+"/N402")
	case country == "CA" && len(postal) != 6:
		return nil, bad("bad_code", path+".postal_code", loop+"/N403")
	case postal != "" && len(postal) < 3:
		return nil, bad("too_short", path+".postal_code", loop+"/N403")
	case country == "US":
		return x12.Segment{"N4", "", region, postal}, nil
	case country == "CA":
		return x12.Segment{"N4", "", region, postal, country}, nil
	}
	return x12.Segment{"N4", "", "", postal, country}, nil // states of others are in no list of the guide
}

// trimmed is a segment without the empty elements at its end.
func trimmed(s x12.Segment) x12.Segment {
	for len(s) > 1 && s[len(s)-1] == "" {
		s = s[:len(s)-1]
	}
	return s
}
