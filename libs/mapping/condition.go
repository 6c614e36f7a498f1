package mapping

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/cel-go/common/types"

	"github.com/muster-hr/muster/libs/employee"
)

// Condition says who an integration is for: CEL over canonical fields,
// `employment.status == "active"` or the same below `employee.`.
type Condition struct {
	p     *program
	reads []string
}

// ParseCondition compiles a condition. custom are the declared custom fields;
// nil means that they are checked elsewhere. The error names place and fix.
func ParseCondition(src string, custom employee.CustomClasses) (*Condition, error) {
	p, t, r, issues := compileCEL(employeeEnv(), src, "", true)
	if len(issues) > 0 {
		i := issues[0]
		err := fmt.Errorf("%d:%d: %s", i.line, max(i.column, 0)+1, i.message)
		if i.fix != "" {
			err = fmt.Errorf("%w; %s", err, i.fix)
		}
		return nil, err
	}
	if t.Kind() != types.BoolKind && t.Kind() != types.DynKind {
		return nil, fmt.Errorf("1:1: a condition is true or false, and this gives %s; write a comparison", t.String())
	}
	c := &Condition{p: p}
	for path := range r.reads {
		if name, ok := strings.CutPrefix(path, "custom."); ok && custom != nil && custom[name] == "" {
			return nil, fmt.Errorf("1:1: custom field %s has no class; declare it in muster.yaml", name)
		}
		c.reads = append(c.reads, path)
	}
	slices.Sort(c.reads)
	return c, nil
}

// Reads lists the canonical paths that the condition reads, sorted.
func (c *Condition) Reads() []string { return c.reads }

// Holds tells whether an employee meets the condition. A comparison with a
// field that is not said does not hold, whichever way round it is written;
// has() and said() ask whether it is.
func (c *Condition) Holds(e employee.Tree, now time.Time) (bool, error) {
	s := newScope("", now)
	s.employee, s.in = e, &Input{}
	if e == nil {
		s.employee = employee.Tree{}
	}
	ok, what := c.p.holds(s)
	if what != "" {
		return false, s.fail("when", "cel", what)
	}
	return ok, nil
}
