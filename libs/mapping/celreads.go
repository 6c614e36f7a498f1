package mapping

import (
	"slices"
	"strings"

	celast "github.com/google/cel-go/common/ast"
	celop "github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"

	"github.com/muster-hr/muster/libs/employee"
)

// reader walks a checked expression: which canonical paths it reads, and words
// compared with a field that the field never holds.
type reader struct {
	ast    *celast.AST
	typed  bool
	vars   map[string]string // variable → canonical path
	reads  map[string]bool
	issues []celIssue
}

// pathOf is the canonical path an expression stands for.
func (r *reader) pathOf(e celast.Expr) (string, bool) {
	switch e.Kind() {
	case celast.IdentKind:
		p, ok := r.vars[e.AsIdent()]
		return p, ok
	case celast.SelectKind:
		p, ok := r.pathOf(e.AsSelect().Operand())
		if !ok {
			return "", false
		}
		return join(p, e.AsSelect().FieldName()), true
	case celast.ComprehensionKind:
		if r.filterOf(e.AsComprehension()) != nil {
			return r.pathOf(e.AsComprehension().IterRange())
		}
	case celast.CallKind:
		call := e.AsCall()
		switch {
		case call.FunctionName() == celop.Index:
			p, ok := r.pathOf(call.Args()[0])
			if !ok {
				return "", false
			}
			if key := call.Args()[1]; key.Kind() == celast.LiteralKind {
				if name, ok := key.AsLiteral().(types.String); ok {
					return join(p, string(name)), true
				}
			}
			return p, true
		case call.FunctionName() == "primary" && len(call.Args()) == 1:
			p, ok := r.pathOf(call.Args()[0])
			return strings.TrimSuffix(p, "[]") + "[primary]", ok
		}
	}
	return "", false
}

// join puts a member below a path; what is below a list is below its elements.
func join(p, name string) string {
	if p == "" {
		return listOr(name)
	}
	return listOr(p + "." + name)
}

func listOr(p string) string {
	if _, ok := employee.Lookup(p + "[]"); ok {
		return p + "[]"
	}
	if _, ok := employee.Lookup(employee.Pattern(p) + "[]"); ok {
		return p + "[]"
	}
	return p
}

// filterOf is the condition of `list.filter(x, condition)`, nil for others.
func (r *reader) filterOf(c celast.ComprehensionExpr) celast.Expr {
	step := c.LoopStep()
	if step.Kind() != celast.CallKind || step.AsCall().FunctionName() != celop.Conditional {
		return nil
	}
	args := step.AsCall().Args()
	if args[1].Kind() != celast.CallKind || args[1].AsCall().FunctionName() != celop.Add {
		return nil
	}
	last := args[1].AsCall().Args()[1]
	if last.Kind() != celast.ListKind || last.AsList().Size() != 1 {
		return nil
	}
	if x := last.AsList().Elements()[0]; x.Kind() != celast.IdentKind || x.AsIdent() != c.IterVar() {
		return nil
	}
	return args[0]
}

// visit notes what e reads.
func (r *reader) visit(e celast.Expr) {
	if p, ok := r.pathOf(e); ok {
		if p == "" {
			r.issue(e, "the expression takes the whole employee", "name the fields it needs, e.g. employee.name.given")
			return
		}
		r.reads[listOr(p)] = true
		r.inner(e)
		return
	}
	r.children(e)
}

// inner visits what is inside a path: indexes and conditions of filters.
func (r *reader) inner(e celast.Expr) {
	switch e.Kind() {
	case celast.SelectKind:
		r.inner(e.AsSelect().Operand())
	case celast.CallKind:
		args := e.AsCall().Args()
		r.inner(args[0])
		for _, a := range args[1:] {
			r.visit(a)
		}
	case celast.ComprehensionKind:
		c := e.AsComprehension()
		r.inner(c.IterRange())
		r.within(c, func() { r.visit(r.filterOf(c)) })
	}
}

// within binds the variables of a comprehension while do runs.
func (r *reader) within(c celast.ComprehensionExpr, do func()) {
	outer := map[string]string{}
	for k, v := range r.vars {
		outer[k] = v
	}
	delete(r.vars, c.IterVar())
	delete(r.vars, c.IterVar2())
	delete(r.vars, c.AccuVar())
	if p, ok := r.pathIn(outer, c.IterRange()); ok {
		if c.HasIterVar2() {
			r.vars[c.IterVar2()] = p
		} else {
			r.vars[c.IterVar()] = p
		}
	}
	do()
	r.vars = outer
}

func (r *reader) pathIn(vars map[string]string, e celast.Expr) (string, bool) {
	inner := r.vars
	r.vars = vars
	defer func() { r.vars = inner }()
	p, ok := r.pathOf(e)
	return p, ok && p != ""
}

func (r *reader) children(e celast.Expr) {
	switch e.Kind() {
	case celast.SelectKind:
		r.visit(e.AsSelect().Operand())
	case celast.CallKind:
		call := e.AsCall()
		r.words(call)
		if call.IsMemberFunction() {
			r.visit(call.Target())
		}
		for _, a := range call.Args() {
			r.visit(a)
		}
	case celast.ListKind:
		for _, x := range e.AsList().Elements() {
			r.visit(x)
		}
	case celast.MapKind:
		for _, x := range e.AsMap().Entries() {
			r.visit(x.AsMapEntry().Key())
			r.visit(x.AsMapEntry().Value())
		}
	case celast.StructKind:
		for _, x := range e.AsStruct().Fields() {
			r.visit(x.AsStructField().Value())
		}
	case celast.ComprehensionKind:
		c := e.AsComprehension()
		if _, ok := r.pathOf(c.IterRange()); ok {
			r.inner(c.IterRange()) // only what is read of the elements counts
		} else {
			r.visit(c.IterRange())
		}
		r.visit(c.AccuInit())
		r.within(c, func() {
			r.visit(c.LoopCondition())
			r.visit(c.LoopStep())
			r.visit(c.Result())
		})
	}
}

// words checks `employment.status == "actve"` and `x in ["a", "b"]`.
func (r *reader) words(call celast.CallExpr) {
	var field celast.Expr
	var lits []celast.Expr
	switch call.FunctionName() {
	case celop.Equals, celop.NotEquals:
		a, b := call.Args()[0], call.Args()[1]
		if a.Kind() == celast.LiteralKind {
			a, b = b, a
		}
		field, lits = a, []celast.Expr{b}
	case celop.In:
		if call.Args()[1].Kind() != celast.ListKind {
			return
		}
		field, lits = call.Args()[0], call.Args()[1].AsList().Elements()
	default:
		return
	}
	p, ok := r.pathOf(field)
	if !ok {
		return
	}
	f, ok := employee.Lookup(employee.Pattern(p))
	if !ok || f.Kind != employee.Enum {
		return
	}
	for _, l := range lits {
		if l.Kind() != celast.LiteralKind {
			continue
		}
		if w, ok := l.AsLiteral().(types.String); ok && !slices.Contains(f.Enum, string(w)) {
			r.issue(l, f.Pattern+" is never "+string(w), orElse(didYouMean(string(w), f.Enum), "its words are "+strings.Join(f.Enum, ", ")))
		}
	}
}

func (r *reader) issue(e celast.Expr, message, fix string) {
	loc := r.ast.SourceInfo().GetStartLocation(e.ID())
	r.issues = append(r.issues, celIssue{max(loc.Line(), 1), loc.Column(), CodeBadCEL, message, fix})
}
