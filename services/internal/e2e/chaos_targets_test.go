package e2e

import (
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connectors/edi834/x12"
)

// match chooses a call at a fake.
type match struct {
	Method string `json:"method,omitempty"`
	Path   string `json:"path,omitempty"`
}

// calls are those at a fake in which a kill strikes: what makes a person, and
// what changes one; a file gets its name.
type calls struct{ create, change match }

// fakes are the targets with a fake.
var fakes = map[string]calls{
	"okta":      {match{http.MethodPost, "/api/v1/users"}, match{http.MethodPost, ""}},
	"directory": {match{http.MethodPost, "/people"}, match{http.MethodPut, ""}},
	"journal":   {match{http.MethodPost, "/entries"}, match{http.MethodPost, ""}},
	"moodle":    {match{http.MethodPost, ""}, match{http.MethodPost, ""}}, // one path for everything: see [killer.effect]
	"ldap":      {match{"ADD", ""}, match{"MODIFY", ""}},
	"scim":      {match{http.MethodPost, "/Users"}, match{http.MethodPatch, ""}},
	"gusto":     {match{http.MethodPost, "/v1/companies/*/employees"}, match{http.MethodPut, "/v1/jobs/*"}},
	"csv":       {match{"rename", ""}, match{"rename", ""}},
	"edi834":    {match{"rename", ""}, match{"rename", ""}},
}

// targetsOf names the targets of a run in the order of its table.
func targetsOf(all bool) []string {
	if !all {
		return []string{"okta", "directory", "journal", "team-bi"}
	}
	return []string{"okta", "directory", "journal", "team-bi", "moodle", "ldap", "scim", "gusto", "csv", "edi834"}
}

// filed are the targets that take files.
var filed = []string{"csv", "edi834"}

// unreadable is what a target never shows again. A delivery that does not know
// what its predecessor did before a crash cannot compare it, and sends it as it is.
var unreadable = map[string][]string{"gusto": {"employee.ssn"}}

// company is the folder of the run: that of the short one, or with what the
// further targets need laid over it.
func company(t *testing.T, all bool) string {
	t.Helper()
	base := filepath.Join("testdata", "chaos")
	if !all {
		return base
	}
	dir := t.TempDir()
	for _, from := range []string{base, filepath.Join("testdata", "chaos-all")} {
		err := fs.WalkDir(os.DirFS(from), ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(filepath.Join(from, name))
			if err == nil {
				err = os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700)
			}
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, name), data, 0o600)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// further judges the targets beyond those of the short run.
func (k *killer) further(v *verdict, ids map[int]string, noted map[place][]receipt) {
	for target, seen := range map[string]func() map[int][]sight{
		"moodle": func() map[int][]sight { return k.sights("moodle", "institution", named("idnumber"), nil) },
		"ldap":   func() map[int][]sight { return k.sights("ldap", "title", named("employeeNumber"), nil) },
		"scim": func() map[int][]sight {
			return k.sights("scim", "title", func(shown map[string]any) any {
				more, _ := shown[enterprise].(map[string]any)
				return more["employeeNumber"]
			}, operations)
		},
		"gusto": func() map[int][]sight {
			return k.sights("gusto", "job.title", func(shown map[string]any) any { // which knows no number
				name, _ := shown["last_name"].(string)
				return strings.TrimPrefix(name, "Family")
			}, parts)
		},
		"csv":    func() map[int][]sight { return k.rows(v) },
		"edi834": func() map[int][]sight { return k.members(v) },
	} {
		v.per(target, func() { k.state(v, target, seen(), ids, noted) })
	}
}

const enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

// sights is the log of writes of a target that is told the newest state: by
// person, what is there after each write, put together from what was sent. who
// finds the number in what is shown of somebody, spread brings a body into the
// form of name and value; nil: it is in it.
func (k *killer) sights(target, version string, who func(map[string]any) any, spread func(map[string]any) map[string]any) map[int][]sight {
	seen := map[int][]sight{}
	vendor := k.chaosVendor(target)
	for _, w := range vendor.Writes {
		if p, ok := person(who(vendor.People[w.Key])); ok {
			body, _ := w.Body.(map[string]any)
			if spread != nil {
				body = spread(body)
			}
			seen[p] = append(seen[p], after(seen[p], w.At, w.Op, body, version))
		}
	}
	return seen
}

// after is what is there after a write that says so much.
func after(before []sight, at time.Time, op string, body map[string]any, version string) sight {
	s := sight{at: at, rev: rev(body[version]), create: op == "create", state: map[string]any{}, said: slices.Sorted(maps.Keys(body))}
	if n := len(before); n > 0 && !s.create {
		maps.Copy(s.state, before[n-1].state)
	}
	maps.Copy(s.state, body)
	if op == "enable" || op == "disable" {
		s.state["access"] = op
	}
	s.left = s.state["access"] == "disable"
	return s
}

func named(name string) func(map[string]any) any {
	return func(shown map[string]any) any { return shown[name] }
}

// operations are the values of a PATCH by their paths; a whole user is as it is.
func operations(body map[string]any) map[string]any {
	list, ok := body["Operations"].([]any)
	if !ok {
		return body
	}
	out := map[string]any{}
	for _, o := range list {
		op, _ := o.(map[string]any)
		path, _ := op["path"].(string)
		if value, ok := op["value"].(map[string]any); ok && path == "" {
			maps.Copy(out, value)
			continue
		}
		out[path] = op["value"]
	}
	return out
}

// parts are the values of one call to Gusto by what they are about; versions of
// objects are no part of them.
func parts(body map[string]any) map[string]any {
	about := "employee"
	for name, part := range map[string]string{"title": "job", "street_1": "home", "rate": "pay", "run_termination_payroll": "end"} {
		if _, ok := body[name]; ok {
			about = part
		}
	}
	out := map[string]any{}
	for name, value := range body {
		if name != "version" {
			out[about+"."+name] = value
		}
	}
	return out
}

// rows are those that the payroll applied. Every file comes once, its number is
// the next one.
func (k *killer) rows(v *verdict) map[int][]sight {
	seen := map[int][]sight{}
	files := map[string]string{}
	var numbers []int
	for _, w := range k.chaosVendor("csv").Writes {
		if text, ok := w.Body.(string); ok {
			if strings.HasPrefix(w.Key, "/incoming/") && strings.HasSuffix(w.Key, ".csv") {
				numbers = k.file(v, "csv", w.Key, text, files, numbers)
			}
			continue
		}
		body, _ := w.Body.(map[string]any)
		p, ok := person(w.Key)
		if !ok || body == nil {
			continue
		}
		s := after(seen[p], w.At, w.Op, body, "cost_center")
		s.create = body["change_type"] == "HIRE"
		seen[p] = append(seen[p], s)
	}
	k.gaps(v, "csv", numbers)
	return seen
}

// members are the loops of the files that the carrier took.
func (k *killer) members(v *verdict) map[int][]sight {
	seen := map[int][]sight{}
	files := map[string]string{}
	var numbers []int
	applied, sent := 0, 0
	for _, w := range k.chaosVendor("edi834").Writes {
		if _, member := person(w.Key); member {
			applied++
			continue
		}
		text, ok := w.Body.(string)
		if !ok || !strings.HasPrefix(w.Key, "/incoming/") || !strings.HasSuffix(w.Key, ".x12") {
			continue
		}
		_, again := files[w.Key]
		if numbers = k.file(v, "edi834", w.Key, text, files, numbers); again {
			continue
		}
		all, err := x12.Parse([]byte(text))
		if err != nil {
			v.lost++
			v.note("edi834: %s is not whole", w.Key)
		}
		for _, i := range all {
			for _, g := range i.Groups {
				for _, set := range g.Sets {
					for _, l := range loops(set) {
						sent++
						x := after(seen[l.person], w.At, l.op, l.body, "street")
						x.create = l.body["maintenance"] == "021"
						seen[l.person] = append(seen[l.person], x)
					}
				}
			}
		}
	}
	if applied != sent {
		v.doubled += max(0, applied-sent)
		v.lost += max(0, sent-applied)
		v.note("edi834: %d members were sent, %d applied", sent, applied)
	}
	k.gaps(v, "edi834", numbers)
	return seen
}

// loop is what a file says of one member.
type loop struct {
	person int
	op     string
	body   map[string]any
}

func loops(set x12.Set) (out []loop) {
	var ins x12.Segment
	for _, s := range set.Segments {
		switch {
		case s.ID() == "INS":
			ins = s
		case ins != nil && s.ID() == "REF" && s.At(1) == "0F":
			p, _ := person(s.At(2))
			l := loop{p, "update", map[string]any{"maintenance": ins.At(3), "reason": ins.At(4)}}
			if ins.At(3) == "024" {
				l.op = "disable"
			}
			out = append(out, l)
		case len(out) > 0 && s.ID() == "N3":
			out[len(out)-1].body["street"] = strings.ToLower(s.At(1))
		}
	}
	return out
}

var sequence = regexp.MustCompile(`(\d+)\.[a-z0-9]+$`)

// file notes a file that came under its own name. Twice is no effect if it is
// the same, for the receiver knows its number; other bytes under one name, or
// one number under two names, are one.
func (k *killer) file(v *verdict, target, name, text string, files map[string]string, numbers []int) []int {
	if was, there := files[name]; there {
		v.again++
		if was != text {
			v.doubled++
			v.note("%s: %s came twice with other bytes", target, name)
		}
		return numbers
	}
	files[name] = text
	n := 0
	if m := sequence.FindStringSubmatch(name); m != nil {
		_, _ = fmt.Sscanf(m[1], "%d", &n) // digits
	}
	return append(numbers, n)
}

// gaps judges the numbers of a target's files: each once, none left out, in order.
func (k *killer) gaps(v *verdict, target string, numbers []int) {
	v.files[target] = len(numbers)
	if !slices.IsSorted(numbers) {
		v.reordered++
		v.note("%s: numbers of files %v", target, numbers)
	}
	sorted := slices.Clone(numbers)
	slices.Sort(sorted)
	for i, n := range sorted {
		switch {
		case i > 0 && n == sorted[i-1]:
			v.doubled++
			v.note("%s: number %d twice", target, n)
		case i > 0 && n != sorted[i-1]+1 || i == 0 && n != 1:
			v.lost++
			v.note("%s: the number before %d is missing", target, n)
		}
	}
}

// TestFilesAreJudged: what may not be with files counts.
func TestFilesAreJudged(t *testing.T) {
	k := &killer{l: newLoad(7, 30, 10)}
	row := func(rev string, op string) sight {
		return sight{state: map[string]any{"cost_center": rev, "access": op}, rev: 1, create: op == "create"}
	}
	for _, c := range []struct {
		name                     string
		numbers                  []int
		texts                    []string
		rows                     []sight
		lost, reordered, doubled int
	}{
		{name: "all is well", numbers: []int{1, 2, 3}, texts: []string{"a", "a"}},
		{name: "a number is left out", numbers: []int{1, 3}, lost: 1},
		{name: "the first is left out", numbers: []int{2}, lost: 1},
		{name: "a number comes twice", numbers: []int{1, 2, 2}, doubled: 1},
		{name: "numbers go back", numbers: []int{2, 1}, reordered: 1},
		{name: "one name has two contents", texts: []string{"a", "b"}, doubled: 1},
		{name: "a row comes twice", rows: []sight{row("r1", "create"), row("r2", ""), row("r2", "")}, doubled: 1},
		{name: "somebody is hired twice", rows: []sight{row("r1", "create"), row("r1", "create")}, doubled: 1},
	} {
		v := &verdict{files: map[string]int{}}
		files := map[string]string{}
		for _, text := range c.texts {
			k.file(v, "csv", "/incoming/F_000001.csv", text, files, nil)
		}
		k.gaps(v, "csv", c.numbers)
		if c.rows != nil {
			k.l = &load{news: [][]int{{1}}, leaves: []int{0}}
			k.state(v, "csv", map[int][]sight{0: c.rows}, nil, nil)
		}
		if v.lost != c.lost || v.reordered != c.reordered || v.doubled != c.doubled {
			t.Errorf("%s: %d lost, %d reordered, %d doubled: %v", c.name, v.lost, v.reordered, v.doubled, v.notes)
		}
	}
}

// TestOnlyTheUnreadableIsSentAgain: a write of what is there, after its receipt
// was noted, is excused for what the target never shows, if its delivery was
// killed in between, and for nothing else.
func TestOnlyTheUnreadableIsSentAgain(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	for _, c := range []struct {
		target, killed string
		said           []string
		doubled        int
	}{
		{"gusto", "delivery-gusto", []string{"employee.ssn"}, 0},
		{"gusto", "delivery-gusto", []string{"employee.email", "employee.ssn"}, 1},
		{"gusto", "delivery-gusto", nil, 1},
		{"gusto", "broker", []string{"employee.ssn"}, 1},
		{"gusto", "transform", []string{"employee.ssn"}, 1},
		{"directory", "delivery-directory", nil, 1},
		{"okta", "delivery-okta", []string{}, 1},
	} {
		k := &killer{l: &load{news: [][]int{{1}}, leaves: []int{0}}, kills: []kill{{c.killed, at(3)}}}
		v := &verdict{}
		same := map[string]any{"title": "r1"}
		k.state(v, c.target, map[int][]sight{0: {{at: at(1), rev: 1, state: same, create: true}, {at: at(4), state: same, said: c.said}}},
			map[int]string{0: "id"}, map[place][]receipt{{"id", c.target}: {{1, 1, "applied", at(2)}}})
		if v.doubled != c.doubled || v.lost != 0 {
			t.Errorf("%s after a kill of %s, %v: %d doubled, want %d: %v", c.target, c.killed, c.said, v.doubled, c.doubled, v.notes)
		}
	}
}

// TestWritesAreRead: what further targets were sent is read as it is meant.
func TestWritesAreRead(t *testing.T) {
	if got := operations(map[string]any{"Operations": []any{
		map[string]any{"op": "replace", "path": "title", "value": "r7"}, map[string]any{"op": "replace", "value": map[string]any{"active": false}},
	}}); got["title"] != "r7" || got["active"] != false {
		t.Errorf("a patch is read as %v", got)
	}
	if got := parts(map[string]any{"title": "r7", "version": "x"}); len(got) != 1 || got["job.title"] != "r7" {
		t.Errorf("a job is read as %v", got)
	}
	got := loops(x12.Set{Segments: []x12.Segment{
		{"ST", "834"}, {"INS", "Y", "18", "001", "43"}, {"REF", "0F", "C00007"}, {"N3", "R5"}, {"INS", "Y", "18", "024", "08"}, {"REF", "0F", "C00008"},
	}})
	if len(got) != 2 || got[0].person != 7 || got[0].body["street"] != "r5" || got[1].person != 8 || got[1].op != "disable" {
		t.Errorf("members are read as %v", got)
	}
}
