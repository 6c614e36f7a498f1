package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/testkit/golden"
)

// folder writes the base company, changed by the files of a case, and gives
// its path. A file with the single line `remove` is left out.
func folder(t testing.TB, changes ...txtar.File) string {
	t.Helper()
	base, err := txtar.ParseFile("testdata/base.txtar")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, f := range slices.Concat(base.Files, changes) {
		path := filepath.Join(dir, f.Name)
		if strings.TrimSpace(string(f.Data)) == "remove" {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func good(t testing.TB, changes ...txtar.File) *config.Company {
	t.Helper()
	c, problems := config.Load(folder(t, changes...), types())
	for _, p := range problems {
		t.Errorf("%s:%d:%d %s %s", p.File, p.Line, p.Column, p.Code, p.Message)
	}
	if t.Failed() {
		t.FailNow()
	}
	return c
}

// TestBad runs testdata/bad/*.txtar: the files that differ from the base
// company, then `want`: one line `file:line:column code` a problem, in order.
func TestBad(t *testing.T) {
	seen := map[string]bool{}
	golden.Each(t, "testdata/bad/*.txtar", func(t *testing.T, c golden.Case) {
		files := c.Archive().Files
		company, problems := config.Load(folder(t, slices.DeleteFunc(slices.Clone(files), func(f txtar.File) bool { return f.Name == "want" })...), types())
		if company != nil {
			t.Error("a company came out of a bad folder")
		}
		var got strings.Builder
		for _, p := range problems {
			seen[p.Code] = true
			fmt.Fprintf(&got, "%s:%d:%d %s\n", p.File, p.Line, p.Column, p.Code)
			if strings.Contains(p.Message+p.Fix, "hunter2") {
				t.Errorf("%s:%d:%d %s repeats a secret", p.File, p.Line, p.Column, p.Code)
			}
			if p.Message == "" || p.Fix == "" {
				t.Errorf("%s:%d:%d %s lacks message or fix", p.File, p.Line, p.Column, p.Code)
			}
		}
		c.Want(t, "want", got.String())
	})
	_, problems := config.Load(filepath.Join(t.TempDir(), "nowhere"), types())
	if len(problems) != 1 || problems[0].Code != config.CodeUnreadable {
		t.Errorf("a folder that is not there: %v", problems)
	}
	seen[config.CodeUnreadable] = true
	for _, code := range config.Codes {
		if !seen[code] {
			t.Errorf("no case shows %s", code)
		}
	}
}

// TestFilePlan: when a file is due, said and unsaid.
func TestFilePlan(t *testing.T) {
	for text, want := range map[string]config.FilePlan{
		"": {Every: 15 * time.Minute, Answers: time.Minute},
		"files: {at: ['18:00', '06:30'], most: 2500, answers: 5m}\n": {At: []time.Duration{18 * time.Hour, 6*time.Hour + 30*time.Minute}, Most: 2500, Answers: 5 * time.Minute},
		"files: {every: 1h, at: '18:00'}\n":                          {Every: time.Hour, At: []time.Duration{18 * time.Hour}, Answers: time.Minute},
	} {
		c := good(t, txtar.File{Name: "targets/payroll.yaml", Data: []byte("connector: drop\nsecrets: {key: env:A}\n" + text)})
		to := c.Targets["payroll"]
		if d := cmp.Diff(want, to.Files); d != "" {
			t.Errorf("%q (-want +got):\n%s", text, d)
		}
		if d := cmp.Diff(map[string]any{"number": 1}, to.Settings); d != "" {
			t.Errorf("settings (-want +got):\n%s", d)
		}
	}
}

// What to write instead is as much a promise as the place: a slip of the
// finger names the word that was meant.
func TestFixNamesWhatWasMeant(t *testing.T) {
	drop := txtar.File{Name: "targets/drop.yaml", Data: []byte("connector: drop\nsecrets: {key: env:A}\n")}
	for _, c := range []struct{ file, body, want string }{
		{"sources/ats.yaml", "connector: atss\nsecrets: {webhook: env:A}\n", "write ats; known are ats, bus, dir, drop, hris, iam, poll"},
		{"sources/ats.yaml", "connector: ats\nsecerts: {webhook: env:A}\nsecrets: {webhook: env:A}\n", "write secrets"},
		{"integrations/hris-to-iam.yaml", "to: iam\nfields: [work_mail]\nmode: on\n", "write work_email"},
		{"integrations/hris-to-iam.yaml", "to: iam\nfields: [\"phones[].number\"]\nmode: on\n", "write phones[]"},
		{"integrations/hris-to-iam.yaml", "to: iam\nfields: [name]\n", "write `mode: off | shadow | on`"},
		{"integrations/hris-to-drop.yaml", "to: drop\nfields: [name]\nmode: on\n", "add employment.status to fields"},
		{"targets/iam.yaml", "connector: iam\nsecrets: {token: abc}\n", "write env:NAME or file:PATH, put the value there, and replace this secret: it was in a file"},
		{"targets/iam.yaml", "connector: iam\nsecrets: {token: env:A}\nkind: evnt\n", "write event"},
	} {
		_, problems := config.Load(folder(t, drop, txtar.File{Name: c.file, Data: []byte(c.body)}), types())
		if len(problems) != 1 || problems[0].Fix != c.want {
			t.Errorf("%s\n%sgot %v, want the fix %q", c.file, c.body, problems, c.want)
		}
	}
}
