package edi834

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connectors/edi834/x12"
)

// profile is what an account says about its carrier.
type profile struct {
	connector.Account

	folder, answersFolder string
	name, reference       pattern
	sep                   x12.Separators
	lineBreak             string
	zone                  *time.Location
	upper, basic          bool
	setSize               int

	plans         map[string]plan
	tiers         map[string]string
	relationships map[string]string
	reasons       map[string]string
	refs          []string // qualifiers of client_refs in their order
}

// plan is what the carrier calls a plan.
type plan struct {
	line, code, policy string
	other              bool // another carrier's
}

func readProfile(a connector.Account) (*profile, error) {
	p := &profile{
		Account: a, folder: strings.TrimRight(a.Text("folder"), "/"), answersFolder: strings.TrimRight(a.Text("answers_folder"), "/"),
		lineBreak: map[string]string{"lf": "\n", "crlf": "\r\n"}[a.Text("line_break")],
		basic:     a.Text("character_set") == "basic", setSize: a.Int("set_size"),
		tiers: laid(tiers, a.Table("tier_map")), relationships: laid(relationships, a.Table("relationship_map")),
		reasons: laid(reasons, a.Table("reason_map")), refs: slices.Sorted(maps.Keys(a.Table("client_refs"))),
	}
	p.upper = p.basic || p.flag("upper_case", true)
	if p.Now == nil {
		p.Now = time.Now
	}
	var err error
	if p.zone, err = time.LoadLocation(cmp.Or(a.Text("zone"), "UTC")); err != nil {
		return nil, errors.New("zone: write a time zone as in America/New_York")
	}
	if p.name, err = parsePattern("name", cmp.Or(a.Text("name"), "834_{yyyymmdd}_{sequence}.x12")); err != nil {
		return nil, err
	}
	if p.reference, err = parsePattern("reference", cmp.Or(a.Text("reference"), "{control}-{set}")); err != nil {
		return nil, err
	}
	for _, check := range []func() error{p.checkUsage, p.readSeparators, p.checkParties, p.readPlans, p.checkMaps, p.checkFiles} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// word is a setting that has a default.
func (p *profile) word(name string) string {
	if s := p.Text(name); s != "" {
		return s
	}
	for _, group := range []map[string]connector.Setting{transport, envelope, parties, members} {
		if fallback, ok := group[name].Default.(string); ok {
			return fallback
		}
	}
	return ""
}

func (p *profile) flag(name string, fallback bool) bool {
	if v, said := p.Settings[name].(bool); said {
		return v
	}
	return fallback
}

// checkUsage: a file for production is a file that enrols people.
func (p *profile) checkUsage() error {
	production := p.Environment == "production"
	switch usage := p.Text("usage"); {
	case usage != "T" && usage != "P":
		return errors.New("usage: write T or P")
	case usage == "P" && !production:
		return errors.New("usage: P enrols people; outside of environment production write T")
	case usage == "T" && production:
		return errors.New("usage: in environment production write P; try a carrier out in an environment of its own")
	}
	return nil
}

func (p *profile) readSeparators() error {
	seen := ""
	for _, s := range []struct {
		name string
		to   *byte
	}{
		{"element_separator", &p.sep.Element}, {"component_separator", &p.sep.Component},
		{"repetition_separator", &p.sep.Repetition}, {"segment_terminator", &p.sep.Segment},
	} {
		text := p.word(s.name)
		if len(text) != 1 || text[0] <= ' ' || text[0] > '~' || alphanumeric(text[0]) {
			return fmt.Errorf("%s: write one character that is no letter, digit or blank", s.name)
		}
		if strings.Contains(seen, text) {
			return fmt.Errorf("%s: another separator is the same", s.name)
		}
		seen += text
		*s.to = text[0]
	}
	return nil
}

func (p *profile) checkParties() error {
	for name, limits := range map[string][2]int{
		"sender": {1, 15}, "receiver": {1, 15}, "sender_qualifier": {2, 2}, "receiver_qualifier": {2, 2},
		"application_sender": {0, 15}, "application_receiver": {0, 15},
		"sponsor_name": {1, 60}, "payer_name": {1, 60}, "sponsor_id": {2, 80}, "payer_id": {2, 80},
		"master_policy": {0, 50}, "policy": {0, 50},
	} {
		said := p.word(name)
		made, err := p.clean(said)
		if err != nil || len(made) < limits[0] || len(made) > limits[1] {
			return fmt.Errorf("%s: write %d to %d characters of the agreed set", name, limits[0], limits[1])
		}
		if made != said && !strings.EqualFold(made, said) && !strings.HasSuffix(name, "_name") {
			return fmt.Errorf("%s: it holds a separator, or a character outside of the agreed set", name)
		}
	}
	if z := p.Text("zone_code"); z != "" && !known(zoneCodes, z) {
		return errors.New("zone_code: write ET, CT, MT, PT, UT or another code of BGN05")
	}
	return nil
}

func (p *profile) readPlans() error {
	p.plans = map[string]plan{}
	for name, text := range p.Table("plan_map") {
		f := strings.Fields(text)
		if len(f) == 1 && f[0] == "none" {
			p.plans[name] = plan{other: true}
			continue
		}
		var made plan
		if n := len(f); n > 2 && strings.HasPrefix(f[n-1], "1L=") {
			made.policy = strings.TrimPrefix(f[n-1], "1L=")
			f = f[:n-1]
		}
		if len(f) > 1 {
			made.line, made.code = f[0], strings.Join(f[1:], " ")
		}
		if !known(lineCodes, made.line) || len(made.code) > 50 {
			return fmt.Errorf("plan_map: %s: write HD03 and HD04, as in HLT PPO-500, or none", name)
		}
		for _, part := range []*string{&made.code, &made.policy} {
			clean, err := p.clean(*part)
			if err != nil || !strings.EqualFold(clean, *part) {
				return fmt.Errorf("plan_map: %s: it holds a separator, or a character outside of the agreed set", name)
			}
			*part = clean
		}
		p.plans[name] = made
	}
	if len(p.plans) == 0 {
		return errors.New("plan_map is missing: which plans the carrier insures and what it calls them")
	}
	return nil
}

func (p *profile) checkMaps() error {
	for name, m := range map[string]struct {
		codes []string
		table map[string]string
	}{"tier_map": {tierCodes, p.tiers}, "relationship_map": {relationshipCodes, p.relationships}, "reason_map": {reasonCodes, p.reasons}} {
		for word, code := range m.table {
			if !known(m.codes, code) {
				return fmt.Errorf("%s: %s: the guide has no such code", name, word)
			}
		}
	}
	for _, q := range p.refs {
		if !known(clientRefs, q) {
			return fmt.Errorf("client_refs: write qualifiers out of %s", strings.Join(clientRefs, ", "))
		}
	}
	return nil
}

func (p *profile) checkFiles() error {
	switch {
	case p.word("answers") != "none" && p.Text("answers_folder") == "":
		return errors.New("answers_folder is missing: where the carrier's answers lie; without any write answers: none")
	case p.word("answers") != "none" && p.answersFolder == p.folder:
		return errors.New("answers_folder: our own files lie there")
	case p.Int("set_size") < 0:
		return errors.New("set_size: write how many, or 0 for one set")
	case p.Int("first_number") < 0:
		return errors.New("first_number: write the number of the first file")
	case !p.name.unique:
		return errors.New("name: write {sequence} or {control} into it, so that no two files have one name")
	}
	return nil
}

// laid is a shipped map with a company's words over it, by folded word.
func laid(shipped, own map[string]string) map[string]string {
	out := maps.Clone(shipped)
	for word, code := range own {
		out[folded(word)] = code
	}
	return out
}

// folded is a word as it is looked up: "Domestic Partner" is domestic_partner.
func folded(word string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(word), func(r rune) bool { return r == ' ' || r == '-' || r == '_' }), "_")
}

func alphanumeric(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z'
}
