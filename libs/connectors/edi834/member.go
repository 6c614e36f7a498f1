package edi834

import (
	"cmp"

	"github.com/muster-hr/muster/libs/connectors/edi834/x12"
)

// member is one 2000 loop before it is written.
type member struct {
	subscriber          bool
	maintenance, reason string
	number, former      string // REF*0F; the one before, if it changed
	is, was             who    // was: zero if the carrier does not know the person
	known               bool   // the carrier knows the person as was
	whole               bool   // with address, contact and references
	ops                 []op
	dates               []x12.Segment
}

// write makes the segments of a loop.
func (p *profile) write(m member) []x12.Segment {
	kind := "N"
	if m.subscriber {
		kind = "Y"
	}
	ins := x12.Segment{"INS", kind, m.is.relationship, m.maintenance, m.reason, "A", "", "", m.is.standing, "", "", "", "", "", "", "", "", m.is.sequence}
	out := []x12.Segment{trimmed(ins), {"REF", "0F", m.number}}
	if policy, _ := p.clean(p.Text("policy")); policy != "" {
		out = append(out, x12.Segment{"REF", "1L", policy})
	}
	if m.whole && m.maintenance != ended && (!m.known || !equalSegments(m.is.refs, m.was.refs)) {
		out = append(out, m.is.refs...)
	}
	if m.former != "" {
		out = append(out, x12.Segment{"REF", "Q4", m.former})
	}
	out = append(out, m.dates...)
	entity := "IL"
	corrected := m.known && m.is.identityChanged(m.was)
	if corrected {
		entity = "74"
	}
	out = append(out, name(entity, m.is))
	if m.whole {
		out = append(out, m.is.contact...)
		out = append(out, m.is.home...)
	}
	out = append(out, trimmed(x12.Segment{"DMG", "D8", m.is.birth, m.is.gender, m.is.marital}))
	if corrected {
		out = append(out, name("70", m.was))
		if m.was.birth != m.is.birth || m.was.gender != m.is.gender {
			out = append(out, x12.Segment{"DMG", "D8", m.was.birth, m.was.gender})
		}
	}
	if m.whole && len(m.is.mailing) > 0 {
		out = append(out, x12.Segment{"NM1", "31", "1"})
		out = append(out, m.is.mailing...)
	}
	for _, o := range m.ops {
		out = append(out, p.coverage(o, m.subscriber)...)
	}
	return out
}

func name(entity string, w who) x12.Segment {
	return trimmed(x12.Segment{"NM1", entity, "1", w.name[0], w.name[1], w.name[2], "", w.name[3], w.idq, w.id})
}

// coverage makes a 2300 loop.
func (p *profile) coverage(o op, subscriber bool) []x12.Segment {
	tier := o.line.tier
	if !subscriber && !p.Bool("tier_on_dependants") {
		tier = ""
	}
	out := []x12.Segment{trimmed(x12.Segment{"HD", o.code, "", o.line.line, o.line.code, tier})}
	for _, d := range []struct{ qualifier, on string }{{"303", o.change}, {"348", o.begin}, {"349", o.end}} {
		if d.on != "" {
			out = append(out, date(d.qualifier, d.on))
		}
	}
	if o.line.policy != "" {
		out = append(out, x12.Segment{"REF", "1L", o.line.policy})
	}
	return out
}

func date(qualifier, on string) x12.Segment { return x12.Segment{"DTP", qualifier, "D8", d8(on)} }

// firstDay is the first day of what ops begin.
func firstDay(ops []op) (on string) {
	for _, o := range ops {
		if o.begin != "" && o.code != changed && (on == "" || o.begin < on) {
			on = o.begin
		}
	}
	return on
}

// since is the day of a change: as it was said, else as the coverages have it,
// else today.
func since(c change, ops []op) string {
	if c.effective != "" {
		return c.effective
	}
	on := ""
	for _, o := range ops {
		on = max(on, cmp.Or(o.change, o.begin))
	}
	return cmp.Or(on, c.today)
}
