// Package golden runs tests from txtar files: the first lines say why the case
// exists, sections hold what goes in and what shall come out.
//
//	Rehire: the employee number stays, the employment is a new one.
//	-- record.json --
//	{"id": "117", "hireDate": "2024-02-01"}
//	-- want.json --
//	{"key": "117", "fields": {"employment": {"hire_date": "2024-02-01"}}}
//
// `go test ./… -update` writes what came out into the files; review the diff.
package golden

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write what came out into the golden files")

// Case is one file.
type Case struct {
	Name string // of the file, without .txtar
	Why  string // the lines above the first section
	path string
	arch *txtar.Archive
}

// Each runs do as a subtest for every file that matches glob. A glob that
// matches nothing fails: a test that runs no case proves nothing.
func Each(t *testing.T, glob string, do func(t *testing.T, c Case)) {
	t.Helper()
	files, err := filepath.Glob(glob)
	if err != nil || len(files) == 0 {
		t.Fatalf("no case matches %s (%v)", glob, err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".txtar")
		t.Run(name, func(t *testing.T) {
			a, err := txtar.ParseFile(f)
			if err != nil {
				t.Fatal(err)
			}
			c := Case{Name: name, Why: strings.TrimSpace(string(a.Comment)), path: f, arch: a}
			if c.Why == "" {
				t.Fatalf("%s: the first line must say why the case exists", f)
			}
			do(t, c)
		})
	}
}

// Archive is the whole file.
func (c Case) Archive() *txtar.Archive { return c.arch }

// Has tells whether the file has a section.
func (c Case) Has(name string) bool { return c.index(name) >= 0 }

// File is a section; nil if there is none.
func (c Case) File(name string) []byte {
	if i := c.index(name); i >= 0 {
		return c.arch.Files[i].Data
	}
	return nil
}

// JSON decodes a section into v and fails the test if it cannot.
func (c Case) JSON(t *testing.T, name string, v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(c.File(name)))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%s: %s: %v", c.path, name, err)
	}
}

func (c Case) index(name string) int {
	for i, f := range c.arch.Files {
		if f.Name == name {
			return i
		}
	}
	return -1
}

// Want compares got with a section: as JSON, whatever the order and the blanks,
// if the name ends in .json, else as text.
func (c Case) Want(t *testing.T, name string, got any) {
	t.Helper()
	data := render(t, name, got)
	if *update {
		c.set(t, name, data)
		return
	}
	if !c.Has(name) {
		t.Fatalf("%s has no %s; this came out:\n%s", c.path, name, data)
	}
	if strings.HasSuffix(name, ".json") {
		want, have := decoded(t, c.path, c.File(name)), decoded(t, c.path, data)
		if !reflect.DeepEqual(want, have) {
			t.Errorf("%s (%s)\n%s differs (-want +got):\n%s", c.path, c.Why, name, cmp.Diff(want, have))
		}
		return
	}
	if want := string(c.File(name)); want != string(data) {
		t.Errorf("%s (%s)\n%s differs (-want +got):\n%s", c.path, c.Why, name, cmp.Diff(want, string(data)))
	}
}

// WantError compares an error with a section that holds its text. Without the
// section there must be no error. It tells whether there was one.
func (c Case) WantError(t *testing.T, name string, err error) bool {
	t.Helper()
	if err == nil {
		if c.Has(name) {
			t.Errorf("%s (%s): no error, want %s", c.path, c.Why, c.File(name))
		}
		return false
	}
	if *update && c.Has(name) {
		c.set(t, name, []byte(err.Error()+"\n"))
		return true
	}
	if !c.Has(name) {
		t.Errorf("%s (%s): %v", c.path, c.Why, err)
	} else if want := strings.TrimSpace(string(c.File(name))); want != err.Error() {
		t.Errorf("%s (%s): error\n%s\nwant\n%s", c.path, c.Why, err, want)
	}
	return true
}

func render(t *testing.T, name string, got any) []byte {
	t.Helper()
	if b, ok := got.([]byte); ok {
		return b
	}
	if s, ok := got.(string); ok && !strings.HasSuffix(name, ".json") {
		return []byte(s)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(got); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func decoded(t *testing.T, path string, data []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return v
}

// set writes a section into the file.
func (c Case) set(t *testing.T, name string, data []byte) {
	t.Helper()
	if i := c.index(name); i >= 0 {
		c.arch.Files[i].Data = data
	} else {
		c.arch.Files = append(c.arch.Files, txtar.File{Name: name, Data: data})
	}
	if err := os.WriteFile(c.path, txtar.Format(c.arch), 0o644); err != nil {
		t.Fatal(err)
	}
}
