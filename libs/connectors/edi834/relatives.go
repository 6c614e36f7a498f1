package edi834

import (
	"fmt"
	"slices"

	"github.com/muster-hr/muster/libs/connectors/edi834/x12"
)

// relative is a dependant who has something to be told.
type relative struct {
	dependant
	path     string
	was      dependant
	from     body // where the person stands: the new body, else the old one
	ops      []op
	lived    bool
	lives    bool
	told     bool
	aboutOld who
	aboutNew who
}

// dependants finds those who have, or had, cover. Somebody who is nowhere any
// more is told as they were.
func (p *profile) dependants(was, is cover, c change) (out []relative, err error) {
	for _, key := range is.order {
		for _, id := range is.lines[key].dependants {
			if _, _, ok := c.is.dependant(id); !ok && !c.over { // who ends is told as they were
				return nil, bad("unknown_dependant", is.lines[key].path+".dependants", "dependants[].id")
			}
		}
	}
	var ids []string
	for _, b := range []body{c.is, c.was} {
		for _, d := range b.Dependants {
			if !slices.Contains(ids, d.ID) {
				ids = append(ids, d.ID)
			}
		}
	}
	for _, id := range ids {
		before, after := was.of(id), is.of(id)
		told := len(before.lines) > 0 || c.over && len(before.earlier) > 0
		if !told && len(after.lines) == 0 {
			continue
		}
		r := relative{lived: before.live(c.today) && !c.was.over(), lives: after.live(c.today) && !c.over, told: told, from: c.is}
		now, i, here := c.is.dependant(id)
		old, j, there := c.was.dependant(id)
		r.was = old
		r.dependant, r.path = now, fmt.Sprintf("dependants[%d]", i)
		if !here {
			r.dependant, r.path, r.from = old, fmt.Sprintf("before.dependants[%d]", j), c.was
		}
		r.told = r.told && there
		if r.ops, err = p.compare(before, after, c, &was, r.BirthDate); err != nil {
			return nil, err
		}
		code := maintenance(r.told, r.lived, r.lives, false, r.ops)
		if code == "" {
			continue
		}
		if r.aboutNew, err = p.dependantOf(r.from, r.dependant, r.path, code == ended); err != nil {
			return nil, err
		}
		if r.told {
			if r.aboutOld, err = p.dependantOf(c.was, old, "", code == ended); err != nil {
				r.aboutOld = r.aboutNew // what was told is not known in these settings
			}
		}
		about := r.told && (r.aboutNew.identityChanged(r.aboutOld) || r.aboutNew.moved(r.aboutOld) || r.aboutNew.differs(r.aboutOld))
		if code == changed && len(r.ops) == 0 && !about {
			continue
		}
		out = append(out, r)
	}
	return out, nil
}

// withDependants writes the loops behind the subscriber's.
func (p *profile) withDependants(out []x12.Segment, above member, deps []relative, c change) ([]x12.Segment, error) {
	for _, r := range deps {
		m := member{number: above.number, former: above.former, is: r.aboutNew, was: r.aboutOld, known: r.told, ops: r.ops}
		m.maintenance = maintenance(r.told, r.lived, r.lives, false, r.ops)
		if m.maintenance == ended && above.maintenance == ended && p.Text("term_style") == "subscriber" {
			continue
		}
		m.whole = m.maintenance != ended && (m.maintenance != changed || m.is.moved(m.was) || m.is.identityChanged(m.was))
		m.reason = above.reason
		if m.maintenance == ended && above.maintenance != ended && (above.reason == reasonPlan || above.reason == reasonSelection) {
			m.reason = reasonEndOfBenefits
		}
		if len(m.ops) == 0 && m.maintenance == changed && len(above.ops) == 0 {
			m.reason = demographic(m)
		}
		switch m.maintenance {
		case added, reinstated:
			if on := firstDay(m.ops); on != "" {
				m.dates = []x12.Segment{date("356", on)}
			}
		case ended:
			if on := p.last(cover{}, m.ops, c); on != "" {
				m.dates = []x12.Segment{date("357", on)}
			}
			if above.maintenance == ended {
				m.ops = p.styled(m.ops)
			}
		default:
			if on := since(c, m.ops); on != "" {
				m.dates = []x12.Segment{date("303", on)}
			}
		}
		out = append(out, p.write(m)...)
	}
	if above.former != "" && !c.over {
		return p.renumbered(out, above, deps, c)
	}
	return out, nil
}

// renumbered adds the loops of dependants whose only change is the number of
// the subscriber, which they have too.
func (p *profile) renumbered(out []x12.Segment, above member, deps []relative, c change) ([]x12.Segment, error) {
	is, err := p.cover(c.is)
	if err != nil {
		return nil, err
	}
	for i, d := range c.is.Dependants {
		if !is.of(d.ID).live(c.today) || slices.ContainsFunc(deps, func(r relative) bool { return r.ID == d.ID }) {
			continue
		}
		w, err := p.dependantOf(c.is, d, fmt.Sprintf("dependants[%d]", i), true)
		if err != nil {
			return nil, err
		}
		m := member{maintenance: changed, reason: reasonIdentity, number: above.number, former: above.former, is: w, was: w, known: true}
		m.dates = []x12.Segment{date("303", c.day())}
		out = append(out, p.write(m)...)
	}
	return out, nil
}
