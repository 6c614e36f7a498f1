package workday

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/muster-hr/muster/libs/fault"
)

// FuzzRows: whatever comes, rows end with io.EOF exactly if the bytes are one
// JSON object with a list of that name, else with a fault whose text quotes
// nothing; and it is the same however the bytes arrive.
func FuzzRows(f *testing.F) {
	sample, err := os.ReadFile(filepath.Join("testdata", "vendor", "raas-report.json"))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		string(sample), string(sample[:300]), `{"Report_Entry":[]}`, `{"a":{"Report_Entry":[1]},"Report_Entry":[{"WID":"1"}],"b":[]}`,
		`{"Report_Entry":[1,]}`, `{"Report_Entry":[1 2]}`, `{"Report_Entry":null}`, `[]`, ``, `{}`, `{"Report_Entry":[{}]}}`, `{"Report_Entry":[}`, `<html>`, "{\"Report_Entry\":[\"\xff\"]}",
		`{"Report_Entry":[],"Report_Entry":[1]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := read1(newRows(bytes.NewReader(body), 1<<20, 1<<20))
		slow, errSlow := read1(newRows(iotest.OneByteReader(bytes.NewReader(body)), 1<<20, 1<<20))
		if len(got) != len(slow) || errors.Is(err, io.EOF) != errors.Is(errSlow, io.EOF) {
			t.Fatalf("%d rows and %v, byte by byte %d and %v", len(got), err, len(slow), errSlow)
		}
		for _, row := range got {
			if !json.Valid(row) {
				t.Fatalf("a row is not JSON")
			}
		}
		if !errors.Is(err, io.EOF) {
			if f := fault.Of(err); f == nil || f.Class != fault.Transient || len(body) > 8 && strings.Contains(err.Error(), string(body)) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if !json.Valid(body) {
			t.Fatal("what is no JSON ended well")
		}
	})
}

func read1(r *rows) (all []json.RawMessage, err error) {
	for {
		row, err := r.next()
		if err != nil {
			return all, err
		}
		all = append(all, row)
	}
}
