package edi834

import (
	"cmp"
	"slices"
)

// op is one HD loop.
type op struct {
	code               string // HD01
	line               line
	begin, end, change string // DTP 348, 349, 303; "" leaves it out
	fresh              string // reason of the election, if it is a new one
}

// change is what is known of a change besides the two bodies.
type change struct {
	effective string // day from which it holds; "" if nobody said
	today     string // cover that ended before it is history
	over      bool   // the employment has ended
	told      bool   // the carrier was told of the person, as was
	was, is   body
}

// day is the day of a change: as it was said, else the one on which it is told.
func (c change) day() string { return cmp.Or(c.effective, c.today) }

// compare tells how cover changed. Of a dependant, born on birth,
// above is the subscriber's cover as it was.
func (p *profile) compare(was, is cover, c change, above *cover, birth string) (ops []op, err error) {
	keys := slices.Clone(is.order)
	for _, k := range was.order {
		if !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	for _, key := range keys {
		before, had := was.lines[key]
		after, has := is.lines[key]
		made, err := p.compareLine(before, after, had, has, is, c, above, birth)
		if err != nil {
			return nil, err
		}
		for _, o := range made {
			if o.code != ended && (!had || before.reason != after.reason) {
				o.fresh = after.reason
			}
			if o.code == ended && has && before.reason != after.reason {
				o.fresh = after.reason
			}
			ops = append(ops, o)
		}
	}
	if !c.over {
		return ops, nil
	}
	for _, before := range was.earlier { // what runs until the newest begins ends with the employment
		end, err := p.end(before, is, c)
		if err != nil {
			return nil, err
		}
		later := c.was.over() && is.past[before.line+" "+before.code] != "" && end > before.end
		if before.end == "" || end < before.end || later {
			ops = slices.DeleteFunc(ops, func(o op) bool { return o.line.plan == before.plan }) // the same plan, elected anew
			ops = append(ops, op{code: ended, line: before, end: end})
		}
	}
	return ops, nil
}

func (p *profile) compareLine(before, after line, had, has bool, is cover, c change, above *cover, birth string) ([]op, error) {
	switch {
	case !had:
		if c.over || after.end != "" && after.end < c.today {
			return nil, nil
		}
		return []op{{code: added, line: after, begin: begin(after, c, above, birth), end: after.end}}, nil
	case !has:
		if before.end != "" && !c.over && (before.end < c.today || c.was.over()) {
			return nil, nil // that was told
		}
		end, err := p.end(before, is, c)
		if err != nil || before.end != "" && before.end <= end { // that end was told, or comes first
			return nil, err
		}
		return []op{{code: ended, line: before, end: end}}, nil
	case c.over && (before.plan != after.plan || after.start > before.start): // what was told ends; the new one never begins
		end, err := p.end(before, is, c)
		if err != nil || before.end != "" && before.end <= end {
			return nil, err
		}
		return []op{{code: ended, line: before, end: end}}, nil
	case before.plan != after.plan:
		return p.otherPlan(before, after, is, c), nil
	case before.end != "" && after.start > before.end && !c.over: // elected again
		return []op{{code: added, line: after, begin: after.start, end: after.end}}, nil
	case before.end != "" && (after.end == "" || after.end > before.end) && (c.was.over() || before.end < c.today) && !c.over:
		return []op{{code: reinstated, line: after, begin: after.start, end: after.end}}, nil
	case before.end != "" && (after.end == "" || after.end > before.end) && !c.over: // it goes on for longer
		return []op{p.altered(after, c.day(), max(after.start, birth))}, nil
	case before.end != after.end:
		return []op{{code: ended, line: after, end: after.end}}, nil
	}
	tier := before.tier != after.tier
	if above != nil && !(tier && p.Bool("tier_on_dependants")) {
		return nil, nil
	}
	if tier || before.start != after.start || !slices.Equal(before.dependants, after.dependants) {
		return []op{p.altered(after, cmp.Or(c.effective, later(after.start, before.start), c.today), max(after.start, birth))}, nil
	}
	return nil, nil
}

// later is a start that is later than it was, as the day of the change.
func later(start, was string) string {
	if start > was {
		return start
	}
	return ""
}

// altered is a coverage that goes on in another way.
func (p *profile) altered(l line, since, begin string) op {
	if p.Text("change_date") == "348" {
		return op{code: changed, line: l, begin: max(since, begin), end: l.end}
	}
	return op{code: changed, line: l, change: since, begin: begin, end: l.end}
}

// otherPlan is another plan of the same line.
func (p *profile) otherPlan(before, after line, is cover, c change) []op {
	switch past := is.past[before.line+" "+before.code]; {
	case c.was.over() || before.end != "" && before.end < max(after.start, c.today): // the other one is over
		return []op{{code: added, line: after, begin: after.start, end: after.end}}
	case past != "" || p.Text("plan_change") == "replace":
		return []op{
			{code: ended, line: before, end: cmp.Or(past, dayBefore(after.start))},
			{code: added, line: after, begin: after.start, end: after.end},
		}
	}
	return []op{p.altered(after, cmp.Or(c.effective, after.start), after.start)}
}

// begin is the first day of new cover. A dependant who joins a line that the
// subscriber has had joins on the day of the change; one born since is covered
// from birth, unless a day was said.
func begin(l line, c change, above *cover, birth string) string {
	if above == nil {
		return l.start
	}
	was, had := above.lines[l.line]
	if !had || was.plan != l.plan || was.end != "" && was.end < l.start || l.start > was.start {
		return max(l.start, birth)
	}
	if c.effective == "" && birth > l.start {
		return birth
	}
	return max(c.day(), birth, l.start)
}

// end is the last day of cover that is elected no longer.
func (p *profile) end(l line, is cover, c change) (string, error) {
	past := is.past[l.line+" "+l.code]
	if c.over {
		end, err := p.lastDay(c.is.Employment.TerminationDate, "employment.termination_date")
		if past != "" {
			end = min(end, past)
		}
		return max(end, l.start), err
	}
	if past != "" {
		return past, nil
	}
	if e, ok := p.waiver(c.is, l.line); ok && isDay(e.Start) && e.Start > l.start {
		return dayBefore(e.Start), nil
	}
	if start := p.instead(l, c); start != "" {
		return max(dayBefore(start), l.start), nil
	}
	end, err := p.lastDay(c.day(), "before."+l.path)
	return max(end, l.start), err
}

// instead is the first day of what the family has now for a line: another plan
// of it, the same one elected anew from later, or another line of its kind, as
// an HMO for a PPO; "" if there is none.
func (p *profile) instead(l line, c change) (start string) {
	now, err := p.cover(c.is)
	if err != nil {
		return ""
	}
	was := p.told(c.was)
	for _, key := range now.order {
		n := now.lines[key]
		before, had := was.lines[key]
		switch {
		case n.plan == l.plan && n.start <= l.start, had && before.plan == n.plan && before.start == n.start: // beside it all along
		case (key == l.line || alike(key, l.line)) && (start == "" || n.start < start):
			start = n.start
		}
	}
	return start
}

// alike tells whether two lines are of one kind of benefit.
func alike(a, b string) bool {
	for _, lines := range kinds {
		if known(lines, a) && known(lines, b) {
			return true
		}
	}
	return false
}
