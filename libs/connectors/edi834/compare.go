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

// compare tells how cover changed. Of a dependant, who is the person at path
// and born on birth; above is the subscriber's cover as it was.
func (p *profile) compare(was, is cover, c change, above *cover, birth, path string) (ops []op, err error) {
	keys := slices.Clone(is.order)
	for _, k := range was.order {
		if !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	for _, key := range keys {
		before, had := was.lines[key]
		after, has := is.lines[key]
		made, err := p.compareLine(before, after, had, has, is, c, above, birth, path)
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
	return ops, nil
}

func (p *profile) compareLine(before, after line, had, has bool, is cover, c change, above *cover, birth, path string) ([]op, error) {
	switch {
	case !had:
		if c.over || after.end != "" && after.end < c.today {
			return nil, nil
		}
		begin, err := p.begin(after, c, above, birth, path)
		return []op{{code: added, line: after, begin: begin, end: after.end}}, err
	case !has:
		if before.end != "" {
			return nil, nil // that was told
		}
		end, err := p.end(before, is, c, above)
		return []op{{code: ended, line: before, end: end}}, err
	case before.plan != after.plan:
		return p.otherPlan(before, after, is, c), nil
	case before.end != "" && after.start > before.end && !c.over: // elected again
		return []op{{code: added, line: after, begin: after.start, end: after.end}}, nil
	case before.end != "" && (after.end == "" || after.end > before.end && (c.was.over() || before.end < c.today)) && !c.over:
		return []op{{code: reinstated, line: after, begin: after.start, end: after.end}}, nil
	case before.end != "" && after.end > before.end: // it goes on for longer
		return []op{p.altered(after, c.effective, max(after.start, birth))}, nil
	case before.end != after.end:
		return []op{{code: ended, line: after, end: after.end}}, nil
	}
	tier := before.tier != after.tier
	if above != nil && !(tier && p.Bool("tier_on_dependants")) {
		return nil, nil
	}
	if tier || before.start != after.start || !slices.Equal(before.dependants, after.dependants) {
		return []op{p.altered(after, cmp.Or(c.effective, later(after.start, before.start)), max(after.start, birth))}, nil
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
	case c.over:
		if before.end != "" {
			return nil
		}
		return []op{{code: ended, line: before, end: after.end}}
	case before.end != "" && before.end < after.start:
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
// subscriber has had joins on the day of the change.
func (p *profile) begin(l line, c change, above *cover, birth, path string) (string, error) {
	if above == nil {
		return l.start, nil
	}
	was, had := above.lines[l.line]
	if !had || was.plan != l.plan || was.end != "" || l.start > was.start {
		return max(l.start, birth), nil
	}
	if c.effective == "" && birth <= l.start {
		return "", bad("no_effective_date", path, "DTP*348")
	}
	return max(c.effective, birth, l.start), nil
}

// end is the last day of cover that is elected no longer.
func (p *profile) end(l line, is cover, c change, above *cover) (string, error) {
	if past := is.past[l.line+" "+l.code]; past != "" {
		return past, nil
	}
	if e, ok := p.waiver(c.is, l.line); ok && isDay(e.Start) && e.Start > l.start {
		return dayBefore(e.Start), nil
	}
	if above != nil { // the family is in another plan now, without this person
		if now, err := p.cover(c.is); err == nil && now.lines[l.line].plan != l.plan && now.lines[l.line].start > l.start {
			return dayBefore(now.lines[l.line].start), nil
		}
	}
	if c.effective == "" {
		return "", bad("no_effective_date", "before."+l.path, "DTP*349")
	}
	end, err := p.lastDay(c.effective, "before."+l.path)
	return max(end, l.start), err
}
