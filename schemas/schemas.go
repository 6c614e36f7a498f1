// Package schemas is the contract of Muster's events as JSON Schema (draft
// 2020-12): one file per event type, and the canonical person. It imports
// nothing of Muster, so other programs can use it too.
//
// The files are made from the Go types of package employee and record; a test
// there fails when they differ. For a type that travels sealed the schema is of
// its clear head; for `hr.employee.*` it is of what a downstream team receives.
package schemas

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed *.json
var files embed.FS

// Base is where the schemas live: the `dataschema` of an event is Base + its
// type + ".json".
const Base = "https://muster-hr.github.io/schemas/"

// Person is the name of the schema of the canonical person.
const Person = "person.v1"

// Names lists every schema, without ".json".
func Names() []string {
	entries, err := fs.Glob(files, "*.json")
	if err != nil {
		return nil // the pattern is well-formed
	}
	for i := range entries {
		entries[i] = strings.TrimSuffix(entries[i], ".json")
	}
	return entries
}

// Source is the text of one schema.
func Source(name string) ([]byte, error) { return files.ReadFile(path.Clean(name) + ".json") }

var compiled = sync.OnceValues(func() (map[string]*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	for _, name := range Names() {
		b, err := Source(name)
		if err != nil {
			return nil, err
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			return nil, fmt.Errorf("schema %s: %w", name, err)
		}
		if err := c.AddResource(Base+name+".json", doc); err != nil {
			return nil, fmt.Errorf("schema %s: %w", name, err)
		}
	}
	out := map[string]*jsonschema.Schema{}
	for _, name := range Names() {
		s, err := c.Compile(Base + name + ".json")
		if err != nil {
			return nil, fmt.Errorf("schema %s: %w", name, err)
		}
		out[name] = s
	}
	return out, nil
})

// Validate checks JSON data against the schema of a name, for an event its
// type. The error names places, not values.
func Validate(name string, data []byte) error {
	all, err := compiled()
	if err != nil {
		return err
	}
	s, ok := all[name]
	if !ok {
		return fmt.Errorf("there is no schema of %s", name)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("%s: not JSON", name)
	}
	if err := s.Validate(doc); err != nil {
		return fmt.Errorf("%s: %s", name, places(err))
	}
	return nil
}

// places lists where a document does not fit and which keyword says so: the
// library's own text would quote values.
func places(err error) string {
	v, ok := err.(*jsonschema.ValidationError) //nolint:errorlint // the library returns exactly this type
	if !ok {
		return "does not fit its schema"
	}
	var out []string
	var walk func(*jsonschema.ValidationError)
	walk = func(v *jsonschema.ValidationError) {
		if len(v.Causes) == 0 {
			out = append(out, "/"+strings.Join(v.InstanceLocation, "/")+" breaks "+strings.Join(v.ErrorKind.KeywordPath(), "/"))
		}
		for _, c := range v.Causes {
			walk(c)
		}
	}
	walk(v)
	return strings.Join(out, "; ")
}
