package fake

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connectors/edi834/x12"
)

// member is somebody the carrier knows.
type member struct {
	family, given, ssn, birth string
	relationship, standing    string
	coverages                 map[string]*coverage // by HD03
	dependants                []*member
	problems                  []string // what a carrier would write a letter about
}

// coverage is one line. end is its last day, "" if none is known.
type coverage struct{ plan, tier, start, end string }

// first finds a segment of a loop by its first element.
func (l loop) first(id, qualifier string) x12.Segment {
	for _, s := range l.segments {
		if s.ID() == id && (qualifier == "" || s.At(1) == qualifier) {
			return s
		}
	}
	return nil
}

// name is NM1 of the person as they are now.
func (l loop) name() x12.Segment {
	if s := l.first("NM1", "IL"); s != nil {
		return s
	}
	return l.first("NM1", "74")
}

// birth is DMG02 behind an NM1: the first is of now, the one behind NM1*70 of
// before.
func (l loop) birth(former bool) (on string) {
	behind := false
	for _, s := range l.segments {
		switch {
		case s.ID() == "NM1":
			behind = s.At(1) == "70"
		case s.ID() == "DMG" && behind == former:
			return s.At(2)
		}
	}
	return ""
}

// apply takes the members of a set that was accepted.
func (c *carrier) apply(set x12.Set) {
	for _, l := range loops(set) {
		number := l.number()
		if was := l.first("REF", "Q4").At(2); was != "" && c.members[was] != nil {
			c.members[number] = c.members[was]
			delete(c.members, was)
			c.Log().Put(was, nil)
		}
		above := c.members[number]
		op := fake.Update
		var m *member
		if ins := l.segments[0]; ins.At(1) == "Y" {
			if above == nil {
				op = fake.Create
				above = &member{coverages: map[string]*coverage{}}
				c.members[number] = above
			}
			m = above
		} else {
			if above == nil {
				above = &member{coverages: map[string]*coverage{}, problems: []string{"a dependant came before the subscriber"}}
				c.members[number] = above
			}
			m = above.dependant(l)
		}
		above.problems = append(above.problems, m.take(l)...)
		if l.segments[0].At(3) == "024" {
			op = fake.Disable
		}
		c.Log().Put(number, above.shown())
		c.Log().Wrote(fake.Write{At: c.o.Time(), Key: number, Op: op, Body: map[string]any{
			"subscriber": l.segments[0].At(1) == "Y", "maintenance": l.segments[0].At(3), "reason": l.segments[0].At(4), "given": l.name().At(4), "coverages": l.lines(),
		}})
	}
}

// lines are the HD loops of a member loop in short.
func (l loop) lines() (out []string) {
	for _, s := range l.segments {
		if s.ID() == "HD" {
			out = append(out, strings.TrimRight(strings.Join([]string{s.At(1), s.At(3), s.At(4), s.At(5)}, " "), " "))
		}
	}
	return out
}

// dependant finds one, or makes one: by the number that they have, or by name
// and birth; where an identity is corrected, by the former one.
func (m *member) dependant(l loop) *member {
	name, birth := l.name(), l.birth(false)
	if former := l.first("NM1", "70"); former != nil {
		name, birth = former, cmp.Or(l.birth(true), birth)
	}
	var gone *member
	for _, d := range m.dependants {
		switch same := name.At(9) != "" && d.ssn == name.At(9) || d.given == name.At(4) && d.birth == birth && (d.ssn == "" || name.At(9) == "" || d.ssn == name.At(9)); {
		case same && d.live():
			return d
		case same && gone == nil:
			gone = d
		}
	}
	if gone != nil {
		return gone
	}
	d := &member{coverages: map[string]*coverage{}}
	m.dependants = append(m.dependants, d)
	return d
}

// live tells whether somebody has cover of which no end is known.
func (m *member) live() bool {
	for _, c := range m.coverages {
		if c.end == "" {
			return true
		}
	}
	return false
}

// take brings a member up to date, and says what does not fit what is known.
func (m *member) take(l loop) (problems []string) {
	ins, name := l.segments[0], l.name()
	fresh := m.birth == ""
	if name.At(1) == "74" && fresh {
		problems = append(problems, "an identity was corrected that is not known")
	}
	if m.live() && name.At(1) == "IL" && m.ssn != "" && name.At(9) != "" && m.ssn != name.At(9) {
		problems = append(problems, "a second member: another number without the former identity")
	}
	if fresh && ins.At(3) != "021" {
		problems = append(problems, "a change of somebody who is not known")
	}
	m.family, m.given, m.ssn, m.birth = name.At(3), name.At(4), name.At(9), l.birth(false)
	m.relationship, m.standing = ins.At(2), ins.At(8)
	var line *coverage
	var code string
	for _, s := range l.segments {
		switch s.ID() {
		case "HD":
			code = s.At(1)
			line = m.coverages[s.At(3)]
			live := line != nil && line.end == ""
			switch {
			case code == "021" && live:
				problems = append(problems, "two coverages of one line")
			case (code == "001" || code == "024") && line == nil:
				problems = append(problems, "a coverage changes or ends that is not known")
			}
			if line == nil {
				line = &coverage{}
				m.coverages[s.At(3)] = line
			}
			if code != "024" {
				line.plan, line.end = s.At(4), ""
			}
			if s.At(5) != "" {
				line.tier = s.At(5)
			}
		case "DTP":
			if line != nil && s.At(1) == "348" && (code != "001" || line.start == "") {
				line.start = s.At(3)
			}
			if line != nil && s.At(1) == "349" {
				line.end = s.At(3)
			}
		}
	}
	if ins.At(3) == "024" { // the member's own end is that of lines without one
		for _, c := range m.coverages {
			c.end = cmp.Or(c.end, l.first("DTP", "357").At(3))
		}
		for _, d := range m.dependants {
			for _, c := range d.coverages {
				c.end = cmp.Or(c.end, l.first("DTP", "357").At(3))
			}
		}
	}
	return problems
}

// shown is a member as the sandbox shows it.
func (m *member) shown() map[string]any {
	out := map[string]any{"family": m.family, "given": m.given, "ssn": m.ssn, "birth": m.birth, "relationship": m.relationship, "standing": m.standing}
	lines := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(m.coverages)) {
		c := m.coverages[key]
		lines[key] = map[string]any{"plan": c.plan, "tier": c.tier, "start": c.start, "end": c.end}
	}
	out["coverages"] = lines
	var deps []any
	for _, d := range m.dependants {
		deps = append(deps, d.shown())
	}
	out["dependants"] = deps
	if len(m.problems) > 0 {
		out["problems"] = slices.Clone(m.problems)
	}
	return out
}
