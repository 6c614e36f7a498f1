package config

import (
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // zones are checked against a list of our own, whatever the machine has

	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/secret"
)

// AlertRoute sends alerts somewhere.
type AlertRoute struct {
	Severities []string // info, warning, critical; empty: all
	To         string   // log, mailto:ADDRESS, or a reference (env:, file:) to a web address
}

// Guard is how much may change in one window before the rest is held.
type Guard struct {
	Window time.Duration
	Allow  map[string]Allowance // by kind: create, update, disable, delete
}

// Allowance is the larger of a count and a share of the known people.
type Allowance struct {
	Count   int
	Percent float64
}

// defaultGuard stops the accidents that everybody had once (an empty answer
// read as "all gone") and lets a normal day of a normal company pass.
func defaultGuard() Guard {
	return Guard{Window: 24 * time.Hour, Allow: map[string]Allowance{
		"create":  {Count: 50, Percent: 10},
		"update":  {Count: 500, Percent: 50},
		"disable": {Count: 10, Percent: 3},
		"delete":  {Count: 5, Percent: 1},
	}}
}

// guardKinds are the kinds of changes with an allowance.
var guardKinds = []string{"create", "update", "disable", "delete"}

// Retention is how long what is no longer needed is kept; 0: as long as the
// readers of the stream need it and no longer.
type Retention struct {
	Raw, Dead, Audit, Surveys time.Duration
}

// Roles are what a person may do in the console.
var roleNames = []string{"viewer", "operator", "approver", "privacy", "admin"}

var severities = []string{"info", "warning", "critical"}

// muster reads muster.yaml.
func (l *loader) muster() {
	s := l.root("muster.yaml")
	c := l.company
	s.require("company", "acme")
	c.Name = s.text("company", "")
	if c.Name != "" && !validName(c.Name) {
		l.add(s.atValue("company"), CodeBadName, "use letters, digits, - and _, at most 64, a letter or digit first", "company cannot be part of an address")
	}
	s.require("environment", "production | test | sandbox")
	c.Environment = s.word("environment", "", Production, Test, Sandbox)
	s.require("zone", "America/New_York")
	c.Zone = l.zone(s, "zone")
	c.Zones = l.zones(s.sub("zones"))
	custom := s.sub("custom")
	c.Custom = l.custom(custom)
	l.customKnown = s.present && custom.present == s.has("custom")
	c.Alerts = l.alerts(s.subs("alerts"))
	c.Guard = l.guard(s.sub("guard"))
	c.Retention = l.retention(s.sub("retention"))
	c.Roles = l.roles(s.sub("roles"))
	if s.present {
		s.done()
	}
}

// zone reads an IANA zone. "Local" is refused: it differs by machine.
func (l *loader) zone(s *section, key string) *time.Location {
	name, ok := s.scalar(key, "a time zone", "America/New_York")
	if !ok {
		return time.UTC
	}
	z, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		l.add(s.atValue(key), CodeBadValue, "write an IANA zone such as Europe/Berlin", "%s is not a known time zone", s.path(key))
		return time.UTC
	}
	return z
}

// zones reads the zones of work locations, by the name the location has in
// positions[].location.
func (l *loader) zones(s *section) map[string]*time.Location {
	out := map[string]*time.Location{}
	for _, location := range s.order {
		out[location] = l.zone(s, location)
	}
	return out
}

// custom reads the classes of custom.<name>.
func (l *loader) custom(s *section) employee.CustomClasses {
	words := make([]string, len(employee.Classes))
	for i, c := range employee.Classes {
		words[i] = string(c)
	}
	out := employee.CustomClasses{}
	for _, name := range s.order {
		if strings.ContainsAny(name, ".[] ") {
			l.add(s.atKey(name), CodeBadName, "use a name without dots, brackets and spaces", "a custom field cannot have this name")
			s.take(name)
			continue
		}
		if class := s.word(name, "", words...); class != "" {
			out[name] = employee.Class(class)
		}
	}
	return out
}

func (l *loader) alerts(routes []*section) []AlertRoute {
	var out []AlertRoute
	for _, s := range routes {
		var r AlertRoute
		for _, sev := range s.list("severity") {
			if !slices.Contains(severities, sev.text) {
				l.add(sev.at, CodeBadValue, oneOf(sev.text, severities), "%q is not a severity", sev.text)
				continue
			}
			r.Severities = append(r.Severities, sev.text)
		}
		s.require("to", "log")
		r.To = s.text("to", "")
		if r.To != "" && r.To != "log" && !strings.HasPrefix(r.To, "mailto:") && secret.Ref(r.To).Check() != nil {
			code, why := CodeBadValue, "%s is not a place for alerts"
			if strings.Contains(r.To, "://") { // the address of a chat's webhook is its password
				code, why = CodeInlineSecret, "%s is a web address, which is a secret"
			}
			l.add(s.atValue("to"), code, "write log, mailto:ADDRESS, or env:NAME of a web address", why, s.path("to"))
		}
		s.done()
		out = append(out, r)
	}
	return out
}

func (l *loader) guard(s *section) Guard {
	g := defaultGuard()
	g.Window = s.duration("window", g.Window, false)
	for _, kind := range guardKinds {
		inner := s.sub(kind)
		a := g.Allow[kind]
		a.Count = inner.whole("count", a.Count, 0)
		a.Percent = inner.number("percent", a.Percent, 0)
		if a.Percent > 100 {
			l.add(inner.atValue("percent"), CodeBadValue, "write a number from 0 to 100", "%s is above 100", inner.path("percent"))
		}
		inner.done()
		g.Allow[kind] = a
	}
	s.done()
	return g
}

func (l *loader) retention(s *section) Retention {
	r := Retention{
		Raw:     s.duration("raw", 0, false),
		Dead:    s.duration("dead", 0, false),
		Audit:   s.duration("audit", 0, false),
		Surveys: s.duration("surveys", 0, false),
	}
	s.done()
	return r
}

func (l *loader) roles(s *section) map[string][]string {
	out := map[string][]string{}
	for _, role := range roleNames {
		for _, who := range s.list(role) {
			out[role] = append(out[role], who.text)
		}
	}
	s.done()
	return out
}
