package edi834

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// line is one coverage of a person: a line of insurance (HD03) under a plan.
type line struct {
	plan
	tier, start, end string
	reason           string
	dependants       []string
	path             string // of its election
}

// cover is what somebody is insured for by line of insurance: the newest
// election of each, and which plans had an end before it.
type cover struct {
	lines   map[string]line
	past    map[string]string // line and plan → last day
	earlier []line            // what past is of: the newest may be one that has not begun
	order   []string          // lines in the order of the elections
}

const day = "2006-01-02"

// told is the cover of a body that was told before. What the settings no longer
// know of it is passed over.
func (p *profile) told(b body) cover {
	for i := 0; i < len(b.Elections); {
		if _, _, err := p.line(b.Elections[i], ""); err != nil {
			b.Elections = slices.Delete(slices.Clone(b.Elections), i, i+1)
			continue
		}
		i++
	}
	c, err := p.cover(b)
	if err != nil {
		return cover{lines: map[string]line{}}
	}
	return c
}

// cover reads the elections of a body. With an employment that is over every
// line has an end.
func (p *profile) cover(b body) (cover, error) {
	c := cover{lines: map[string]line{}, past: map[string]string{}}
	if b.Status == "pre_hire" && !p.Bool("pre_hire") {
		return c, nil
	}
	for i, e := range b.Elections {
		path := fmt.Sprintf("elections[%d]", i)
		if e.Waived || e.Kind == "life" || e.Kind == "add" {
			continue
		}
		l, ok, err := p.line(e, path)
		if err != nil {
			return c, err
		}
		if !ok {
			continue
		}
		was, twice := c.lines[l.line]
		switch {
		case !twice:
			c.order = append(c.order, l.line)
		case was.start == l.start || was.end == "" && l.end == "":
			return c, bad("two_plans", path, "one "+l.line+" at a time")
		case was.start > l.start:
			c.past[l.line+" "+l.code] = l.end
			c.earlier = append(c.earlier, l)
			continue
		default:
			c.past[was.line+" "+was.code] = was.end
			c.earlier = append(c.earlier, was)
		}
		c.lines[l.line] = l
	}
	if !b.over() {
		return c, nil
	}
	end, err := p.lastDay(b.Employment.TerminationDate, "employment.termination_date")
	if err != nil && len(c.lines) > 0 {
		return c, err
	}
	for key, l := range c.lines {
		c.lines[key] = l.until(end)
	}
	for i, l := range c.earlier {
		c.earlier[i] = l.until(end)
	}
	return c, nil
}

// until is a line that ends on a day at the latest; what had not begun by then
// ends as it begins.
func (l line) until(end string) line {
	if l.end == "" || l.end > end {
		l.end = max(end, l.start)
	}
	return l
}

// line reads one election; false: it is not for this carrier.
func (p *profile) line(e election, path string) (line, bool, error) {
	pl, known := p.plans[e.Plan]
	switch {
	case e.Plan == "":
		return line{}, false, bad("missing", path+".plan", "2300/HD04")
	case pl.other, !known && p.Text("other_plans") == "skip":
		return line{}, false, nil
	case !known:
		return line{}, false, bad("no_plan_code", path+".plan", "plan_map")
	}
	l := line{plan: pl, start: e.Start, end: e.End, reason: e.Reason, dependants: slices.Clone(e.Dependants), path: path}
	slices.Sort(l.dependants)
	l.dependants = slices.Compact(l.dependants)
	if e.Coverage != "" {
		if l.tier = p.tiers[folded(e.Coverage)]; l.tier == "" {
			return l, false, bad("no_tier_code", path+".coverage", "tier_map")
		}
	}
	if l.tier == "" && slices.Contains(tiered, l.line) {
		return l, false, bad("missing", path+".coverage", "2300/HD05")
	}
	if l.tier != "" && l.tier != "EMP" && l.tier != "IND" && len(l.dependants) == 0 && p.flag("dependants_listed", true) {
		return l, false, bad("no_dependants", path+".dependants", "dependants_listed")
	}
	if e.Start == "" {
		return l, false, bad("missing", path+".start", "2300/DTP*348")
	}
	switch {
	case !isDay(e.Start):
		return l, false, bad("bad_date", path+".start", "2300/DTP*348")
	case e.End != "" && (!isDay(e.End) || e.End < e.Start):
		return l, false, bad("bad_date", path+".end", "2300/DTP*349")
	}
	return l, true, nil
}

// of is the cover of one dependant: the lines that name it.
func (c cover) of(id string) cover {
	out := cover{lines: map[string]line{}, past: c.past}
	for _, key := range c.order {
		if l := c.lines[key]; slices.Contains(l.dependants, id) {
			out.lines[key] = l
			out.order = append(out.order, key)
		}
	}
	for _, l := range c.earlier {
		if slices.Contains(l.dependants, id) {
			out.earlier = append(out.earlier, l)
		}
	}
	return out
}

// live tells whether there is cover on a day or after it.
func (c cover) live(today string) bool {
	for _, l := range c.lines {
		if l.end == "" || l.end >= today {
			return true
		}
	}
	return false
}

// last is DTP 357: the latest end of what was told, once ops are told too. With
// an employment that is over, what had not begun by then does not count: all of
// the person's cover is over on the last day that the end gives.
func (p *profile) last(was cover, ops []op, c change) (on string) {
	var end, begun string
	if c.over {
		end, _ = p.lastDay(c.is.Employment.TerminationDate, "") // what is no day was refused
		begun = max(end, c.is.Employment.TerminationDate)
	}
	count := func(l line, end string) {
		if !c.over || l.start <= begun {
			on = max(on, end)
		}
	}
	for _, o := range ops {
		count(o.line, o.end)
	}
	for key, l := range was.lines {
		if !slices.ContainsFunc(ops, func(o op) bool { return o.line.line == key }) {
			count(l, l.end)
		}
	}
	return cmp.Or(on, end)
}

func isDay(s string) bool {
	t, err := time.Parse(day, s)
	return err == nil && t.Year() >= 1850 && t.Year() < 2200
}

// lastDay is the last day of cover for something that ends on a day.
func (p *profile) lastDay(on, path string) (string, error) {
	switch {
	case on == "":
		return "", bad("missing", path, "DTP*357")
	case !isDay(on):
		return "", bad("bad_date", path, "DTP*357")
	}
	t, _ := time.Parse(day, on) // it is a day
	first := time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
	switch cmp.Or(p.Text("coverage_end"), "end_of_month") {
	case "end_of_month":
		t = first.AddDate(0, 1, -1)
	case "end_of_next_month":
		t = first.AddDate(0, 2, -1)
	case "end_of_previous_month":
		t = first.AddDate(0, 0, -1)
	}
	return t.Format(day), nil
}

func dayBefore(on string) string {
	t, err := time.Parse(day, on)
	if err != nil {
		return on
	}
	return t.AddDate(0, 0, -1).Format(day)
}
