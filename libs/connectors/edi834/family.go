package edi834

import (
	"cmp"
	"slices"

	"github.com/muster-hr/muster/libs/connectors/edi834/x12"
)

// maintenance is INS03: whether somebody's cover begins, ends, comes back or
// changes; "" if there is nothing to tell.
func maintenance(known, was, is, over bool, ops []op) string {
	switch {
	case !known && is:
		return added
	case !known:
		return ""
	case was && !is && (len(ops) > 0 || over):
		return ended
	case was && !is: // its end was told before
		return ""
	case !was && is:
		return reinstated
	case !is:
		if len(ops) > 0 { // another end
			return ended
		}
		return ""
	}
	return changed // if there is one
}

// family makes the loops of a change: the subscriber, then dependants.
func (p *profile) family(c change) ([]x12.Segment, error) {
	was := p.told(c.was)
	is, err := p.cover(c.is)
	if c.over { // an election that is wrong keeps nobody insured
		is, err = p.told(c.is), nil
	}
	if err != nil {
		return nil, err
	}
	if len(was.lines) == 0 && (len(is.lines) == 0 || c.over) {
		return nil, nil
	}
	ops, err := p.compare(was, is, c, nil, "")
	if err != nil {
		return nil, err
	}
	deps, err := p.dependants(was, is, c)
	if err != nil {
		return nil, err
	}
	m := member{subscriber: true, ops: ops, known: c.told}
	lived, lives := was.live(c.today) && !c.was.over(), is.live(c.today) && !c.over
	m.maintenance = maintenance(m.known, lived, lives, c.over, ops)
	if m.maintenance == "" && len(deps) > 0 {
		m.maintenance = changed
	}
	if m.maintenance == "" {
		return nil, nil
	}
	bare := m.maintenance == ended // an end does not say where somebody is reached
	if m.is, err = p.subscriber(c.is, bare); err != nil {
		return nil, err
	}
	if m.number, err = p.number(c.is); err != nil {
		return nil, err
	}
	if m.known {
		m.was, err = p.subscriber(c.was, bare)
		m.known = err == nil // what was told is not known in these settings
		if old, err := p.number(c.was); err == nil && old != m.number {
			m.former = old
		}
	}
	about := m.is.identityChanged(m.was) || m.is.moved(m.was) || m.is.differs(m.was) || m.former != ""
	if m.maintenance == changed && len(ops) == 0 && len(deps) == 0 && (!about || !m.known) {
		return nil, nil
	}
	m.whole = m.maintenance != ended && (m.maintenance != changed || m.known && about)
	if m.whole && m.maintenance == added && len(m.is.home) == 0 {
		return nil, bad("missing", "home", "2100A/N3")
	}
	m.reason = p.reason(m, c)
	m.dates = p.dates(m, c, was)
	if m.maintenance == ended {
		m.ops = p.styled(m.ops)
	}
	out := p.write(m)
	return p.withDependants(out, m, deps, c)
}

// ending is a body of an employment that is over. Whoever could not be told as
// they are now stands in it as they were told: a name or a birth date that is
// wrong, or was taken away with the employment, keeps nobody insured.
func (p *profile) ending(is, was body) body {
	_, err := p.subscriber(is, true)
	if err == nil {
		_, err = p.number(is)
	}
	if err != nil {
		is.Subscriber = was.Subscriber
	}
	is.Dependants = slices.Clone(is.Dependants)
	for i, d := range is.Dependants {
		if _, err := p.dependantOf(is, d, "", true); err == nil {
			continue
		}
		if old, _, told := was.dependant(d.ID); told {
			is.Dependants[i] = old
		}
	}
	return is
}

// styled leaves out what the carrier wants not to hear of an end.
func (p *profile) styled(ops []op) []op {
	if p.word("term_style") == "every_coverage" {
		return ops
	}
	return nil
}

// dates are those of a subscriber's 2000 loop.
func (p *profile) dates(m member, c change, was cover) (out []x12.Segment) {
	switch m.maintenance {
	case added, reinstated:
		if isDay(c.is.Employment.HireDate) {
			out = append(out, date("336", c.is.Employment.HireDate))
		}
		if on := firstDay(m.ops); on != "" {
			out = append(out, date("356", on))
		}
	case ended:
		if c.over && isDay(c.is.Employment.TerminationDate) {
			out = append(out, date("337", c.is.Employment.TerminationDate))
		}
		if on := p.last(was, m.ops, c); on != "" {
			out = append(out, date("357", on))
		}
	default:
		if on := since(c, m.ops); on != "" {
			out = append(out, date("303", on))
		}
	}
	return out
}

// reason is INS04 of a subscriber.
func (p *profile) reason(m member, c change) string {
	switch {
	case m.maintenance == added:
		return reasonInitial
	case m.maintenance == ended && c.over:
		return cmp.Or(p.reasons[folded(c.is.Employment.TerminationReason)], reasonEndOfJob)
	}
	for _, o := range m.ops {
		if code := p.reasons[folded(o.fresh)]; code != "" {
			return code
		}
	}
	if m.maintenance == reinstated {
		return reasonReenrolled
	}
	if len(m.ops) == 0 {
		switch {
		case m.is.standing == "L1" && m.was.standing != "L1":
			return reasonLeave
		case m.was.standing == "L1" && m.is.standing != "L1":
			return reasonActive
		}
		return demographic(m)
	}
	reason := ""
	for _, o := range m.ops {
		switch {
		case o.code == changed, reason != "" && o.code != m.ops[0].code:
			return reasonPlan
		case o.code == added:
			reason = reasonSelection
		default:
			reason = reasonEndOfBenefits
			if _, waived := p.waiver(c.is, o.line.line); waived {
				reason = reasonWithdrawal
			}
		}
	}
	return reason
}

// demographic is the reason of a change that concerns no coverage.
func demographic(m member) string {
	switch {
	case m.is.identityChanged(m.was) || m.is.id != m.was.id || m.former != "":
		return reasonIdentity
	case m.is.moved(m.was):
		return reasonMoved
	}
	return reasonPersonnel
}
