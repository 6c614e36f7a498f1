package mapping

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"
	yaml "go.yaml.in/yaml/v3"

	"github.com/muster-hr/muster/libs/employee"
)

var adapter = values{types.DefaultTypeAdapter}

// environments of CEL, built once: an Env takes milliseconds.
var (
	recordEnv = sync.OnceValue(func() *cel.Env {
		return mustEnv(append(functions(), strVars("event", "key", "source", "today"),
			cel.Variable("record", cel.DynType), cel.Variable("deleted", cel.BoolType))...)
	})
	recordItemEnv = sync.OnceValue(func() *cel.Env {
		return mustExtend(recordEnv(), cel.Variable("item", cel.DynType))
	})
	employeeEnv = sync.OnceValue(func() *cel.Env {
		opts := append(functions(), strVars("status", "verb", "account", "source", "today"),
			cel.Variable("employee", cel.ObjectType(typeName(""))))
		for _, name := range topLevel() {
			f, _ := childOf("", name)
			opts = append(opts, cel.Variable(name, celType(f)))
		}
		return mustEnv(opts...)
	})
	itemEnvs sync.Map // pattern of a list → *cel.Env
)

func strVars(names ...string) cel.EnvOption {
	return func(e *cel.Env) (*cel.Env, error) {
		var err error
		for _, n := range names {
			if e, err = cel.Variable(n, cel.StringType)(e); err != nil {
				return nil, err
			}
		}
		return e, nil
	}
}

func mustEnv(opts ...cel.EnvOption) *cel.Env {
	base, err := types.NewRegistry()
	if err != nil {
		panic(err)
	}
	e, err := cel.NewEnv(append([]cel.EnvOption{
		cel.CustomTypeAdapter(adapter), cel.CustomTypeProvider(newSchema(base)), ext.Strings(ext.StringsVersion(4)),
	}, opts...)...)
	if err != nil {
		panic(err) // the options are constants of this package
	}
	return e
}

func mustExtend(e *cel.Env, o cel.EnvOption) *cel.Env {
	e, err := e.Extend(o)
	if err != nil {
		panic(err)
	}
	return e
}

// env is the environment at the place where the compiler stands.
func (c *compiler) env() *cel.Env {
	switch {
	case c.o.Direction == FromVendor && c.depth == 0:
		return recordEnv()
	case c.o.Direction == FromVendor:
		return recordItemEnv()
	case c.depth == 0 || c.base == "":
		return employeeEnv()
	}
	if e, ok := itemEnvs.Load(c.base); ok {
		return e.(*cel.Env)
	}
	e := mustExtend(employeeEnv(), cel.Variable("item", cel.ObjectType(typeName(c.base))))
	itemEnvs.Store(c.base, e)
	return e
}

// program is a compiled expression.
type program struct {
	prg    cel.Program
	first  string // first path of the record that it names, for errors
	ofItem bool   // first is below the item
}

// celIssue is one thing wrong in an expression; line from 1, column from 0.
type celIssue struct {
	line, column int
	code         string
	message, fix string
}

var quoted = regexp.MustCompile(`'([^']+)'`)

// compileCEL checks src and reads which canonical paths it uses. base is the
// pattern of `item`.
func compileCEL(env *cel.Env, src, base string, typed bool) (*program, *cel.Type, *reader, []celIssue) {
	if len(src) > 10000 {
		return nil, nil, nil, []celIssue{{1, 0, CodeBadCEL, "the expression is longer than 10000 characters", "use operators"}}
	}
	a, iss := env.Compile(src)
	if iss != nil && iss.Err() != nil {
		var out []celIssue
		for _, e := range iss.Errors() {
			msg, fix := strings.ReplaceAll(e.Message, " (in container '')", ""), ""
			if m := quoted.FindStringSubmatch(msg); m != nil {
				switch {
				case strings.HasPrefix(msg, "undefined field"):
					fix = didYouMean(m[1], fieldNames())
				case strings.HasPrefix(msg, "undeclared reference"):
					fix = didYouMean(m[1], slices.Concat(variableNames(env), functionNames))
				}
			}
			out = append(out, celIssue{e.Location.Line(), e.Location.Column(), CodeBadCEL, msg, fix})
		}
		return nil, nil, nil, out
	}
	prg, err := env.Program(a, cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, nil, nil, []celIssue{{1, 0, CodeBadCEL, err.Error(), ""}}
	}
	p := &program{prg: prg}
	r := &reader{ast: a.NativeRep(), reads: map[string]bool{}, vars: map[string]string{}, typed: typed}
	if typed {
		r.vars["employee"] = ""
		for _, n := range topLevel() {
			r.vars[n] = listOr(n)
		}
		if base != "" {
			r.vars["item"] = base
		}
		r.visit(a.NativeRep().Expr())
	} else {
		p.first, p.ofItem = firstPath(a.NativeRep().Expr())
	}
	return p, a.OutputType(), r, r.issues
}

func fieldNames() []string {
	var out []string
	for _, f := range employee.Fields() {
		p := strings.TrimSuffix(f.Pattern, "[]")
		out = append(out, p[strings.LastIndexByte(p, '.')+1:])
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func variableNames(env *cel.Env) []string {
	var out []string
	for _, v := range env.Variables() {
		out = append(out, v.Name())
	}
	return out
}

// compile compiles the expression of a node and reports what is wrong.
func (c *compiler) compile(n *yaml.Node) (*program, *cel.Type) {
	if n.Kind != yaml.ScalarNode || n.Value == "" {
		c.problem(n, CodeWrongForm, "write an expression", "an expression must be a text, not %s", form(n))
		return nil, nil
	}
	p, t, r, issues := compileCEL(c.env(), n.Value, c.base, c.o.Direction == ToVendor)
	for _, i := range issues {
		c.inside(n, i.line-1, max(i.column, 0), i.code, i.fix, "%s", i.message)
	}
	if len(issues) > 0 {
		return nil, nil
	}
	for path := range r.reads {
		if !c.declared(path) {
			c.problem(n, CodeCustom, "declare its class in muster.yaml", "custom field %s has no class", strings.TrimPrefix(path, "custom."))
		}
		c.reads[path] = true
	}
	return p, t
}

// expression compiles a value; alone means that no other operator follows, so
// that its type must be that of the field.
func (c *compiler) expression(n *yaml.Node, f *employee.Field, alone bool) *program {
	p, t := c.compile(n)
	if p == nil || f == nil || !alone {
		return p
	}
	ok := true
	switch f.Kind {
	case employee.Any, employee.Object, employee.Manager, employee.List, employee.Decimal:
	case employee.Bool:
		ok = t.IsAssignableType(cel.BoolType) || t.Kind() == types.DynKind
	default:
		ok = t.Kind() == types.StringKind || t.Kind() == types.DynKind || t.Kind() == types.NullTypeKind
	}
	if !ok {
		fix := "write text(…) around it"
		if f.Kind == employee.Bool {
			fix = "write a comparison"
		}
		c.problem(n, CodeBadCEL, fix, "the expression gives %s, and %s takes %s", t.String(), f.Pattern, wanted(*f))
		return nil
	}
	return p
}

// condition compiles `when` and `where`.
func (c *compiler) condition(n *yaml.Node) *program {
	p, t := c.compile(n)
	if p != nil && t.Kind() != types.BoolKind && t.Kind() != types.DynKind {
		c.problem(n, CodeBadCEL, "write a comparison", "a condition is true or false, and this gives %s", t.String())
		return nil
	}
	return p
}

// value evaluates. What the expression needs and the record does not say makes
// the result not said, what is cleared makes it null; anything else that goes
// wrong is an error without the values that CEL would name.
func (p *program) value(s *scope) (any, state, string) {
	s.cleared = false
	out, _, err := p.prg.Eval(s)
	if err != nil {
		switch {
		case errors.Is(err, errCleared) || s.cleared && missing(err):
			return nil, said, ""
		case missing(err):
			return nil, absent, ""
		}
		return nil, absent, "a kind of value that the expression cannot use"
	}
	v, ok := native(out)
	if !ok {
		return nil, absent, "a result that JSON does not have"
	}
	return v, said, ""
}

func missing(err error) bool {
	if errors.Is(err, errAbsent) {
		return true
	}
	msg := err.Error()
	return strings.HasPrefix(msg, "no such key") || strings.HasPrefix(msg, "no such attribute") || strings.HasPrefix(msg, "index out of bounds")
}

// holds evaluates a condition. What needs something that is not said does not
// hold.
func (p *program) holds(s *scope) (bool, string) {
	v, st, what := p.value(s)
	if what != "" || st == absent || v == nil {
		return false, what
	}
	b, ok := v.(bool)
	if !ok {
		return false, found(v) + ", not true or false"
	}
	return b, ""
}

// firstPath is the first chain of members of `record` or `item`.
func firstPath(e celast.Expr) (string, bool) {
	var out string
	var ofItem bool
	celast.PostOrderVisit(e, celast.NewExprVisitor(func(x celast.Expr) {
		if x.Kind() != celast.SelectKind {
			return
		}
		at, root := x.AsSelect().FieldName(), x.AsSelect().Operand()
		for root.Kind() == celast.SelectKind {
			at, root = root.AsSelect().FieldName()+"."+at, root.AsSelect().Operand()
		}
		if root.Kind() != celast.IdentKind {
			return
		}
		name := root.AsIdent()
		if (name == "record" || name == "item") && (out == "" || strings.HasPrefix(at, out+".")) {
			out, ofItem = at, name == "item"
		}
	}))
	return out, ofItem
}
