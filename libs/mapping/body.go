package mapping

import (
	"slices"
	"time"

	"github.com/muster-hr/muster/libs/employee"
)

// Body maps what a target may see of an employee to the body it wants. Absent
// fields are left out, cleared ones are null. Flags name the people that a
// `ref` could not resolve. Errors are *fault.Error of class Record.
func (m *Mapping) Body(e employee.Tree, in Input, now time.Time) (map[string]any, Flags, error) {
	source := in.Account
	if source == "" {
		source = m.source
	}
	s := newScope(source, now)
	if e == nil {
		e = employee.Tree{}
	}
	s.employee, s.in = e, &in
	out := make(map[string]any, m.top)
	gaps := false
	for _, f := range m.rules {
		v, st, err := f.get(s)
		if err != nil {
			return nil, Flags{}, err
		}
		if st == said {
			write(out, f.put, v)
			gaps = gaps || numbered(f.put)
		}
	}
	if gaps {
		compact(out)
	}
	slices.Sort(s.flags.WaitsFor)
	s.flags.WaitsFor = slices.Compact(s.flags.WaitsFor)
	return out, s.flags, nil
}
