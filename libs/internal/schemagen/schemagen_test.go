package schemagen

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/muster-hr/muster/schemas"
)

var update = flag.Bool("update", false, "write the schema files anew")

func TestSchemaFilesAreCurrent(t *testing.T) {
	files := Files()
	for name, want := range files {
		path := filepath.Join("..", "..", "..", "schemas", name)
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not current: run `make generate` and look at the difference", name)
		}
	}
	for _, name := range schemas.Names() {
		if files[name+".json"] == nil {
			t.Errorf("%s.json belongs to no type any more", name)
		}
	}
}

func TestPersonSchemaTakesAndRefuses(t *testing.T) {
	for _, c := range []struct {
		name, doc string
		ok        bool
	}{
		{"a full example", `{"employee_number":"0417","name":{"given":"Zofia","middle":null},"phones":[{"kind":"mobile","number":"+48600555103"}],"positions":[{"primary":true,"title":"Engineer","manager":"abc"}],"compensation":{"amount":"72000.00","currency":"EUR","period":"year"},"external":{"bamboohr":["4117"]}}`, true},
		{"cleared fields", `{"birth_date":null,"positions":null,"gender":null}`, true},
		{"an unknown field", `{"shoe_size":"44"}`, false},
		{"an unknown word", `{"employment":{"status":"fired"}}`, false},
		{"a day with a time", `{"birth_date":"1988-02-29T00:00:00Z"}`, false},
		{"money as a number", `{"compensation":{"amount":72000}}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := schemas.Validate(schemas.Person, []byte(c.doc)); (err == nil) != c.ok {
				t.Errorf("Validate = %v, want ok %v", err, c.ok)
			}
		})
	}
}

func TestErrorsNamePlacesNotValues(t *testing.T) {
	err := schemas.Validate(schemas.Person, []byte(`{"compensation":{"amount":"planted 91234"}}`))
	if err == nil || bytes.Contains([]byte(err.Error()), []byte("planted")) {
		t.Errorf("error = %v", err)
	}
}
