package config_test

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"testing"

	"golang.org/x/tools/txtar"
	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/mapping"
)

// base is the good company in memory.
func base(t testing.TB) map[string][]byte {
	a, err := txtar.ParseFile("testdata/base.txtar")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, f := range a.Files {
		files[f.Name] = f.Data
	}
	return files
}

type failer interface{ Fatalf(string, ...any) }

// check holds whatever the files are: either a company or problems, each with
// a place in the folder, a code of the list, a message and a fix, in order.
func check(t failer, files map[string][]byte) {
	c, problems := config.LoadFiles(files, types())
	if (c == nil) == (problems == nil) {
		t.Fatalf("company %v and %d problems", c != nil, len(problems))
	}
	for _, p := range problems {
		if p.File == "" || p.Line < 1 || p.Column < 1 || p.Code == "" || p.Message == "" || p.Fix == "" {
			t.Fatalf("incomplete problem: %+v", p)
		}
		if lines := bytes.Count(files[p.File], []byte("\n")) + 2; p.Line > lines {
			t.Fatalf("%s has no line %d", p.File, p.Line)
		}
	}
	if !slices.IsSortedFunc(problems, func(a, b mapping.Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	}) {
		t.Fatalf("problems are not in order")
	}
}

func FuzzLoad(f *testing.F) {
	files := base(f)
	names := slices.Sorted(maps.Keys(files))
	for i, name := range names {
		f.Add(byte(i), files[name])
	}
	f.Add(byte(0), []byte("a: &a [*a]\n"))
	f.Add(byte(1), []byte("? [x]\n: y\n"))
	f.Add(byte(2), []byte("<<: {a: b}\n"))
	f.Add(byte(3), []byte("\xff\xfe"))
	f.Add(byte(4), []byte("to: !!binary aGk=\nfields: !x [1]\n"))
	f.Fuzz(func(t *testing.T, which byte, src []byte) {
		changed := maps.Clone(files)
		changed[names[int(which)%len(names)]] = src
		check(t, changed)
	})
}

// Any slip of an editor (a line lost, doubled or moved in, a letter changed,
// a file lost) gives a company or complete problems, never a panic.
func TestSlips(t *testing.T) {
	files := base(t)
	names := slices.Sorted(maps.Keys(files))
	rapid.Check(t, func(t *rapid.T) {
		changed := maps.Clone(files)
		for range rapid.IntRange(1, 4).Draw(t, "slips") {
			name := rapid.SampledFrom(names).Draw(t, "file")
			lines := bytes.SplitAfter(changed[name], []byte("\n"))
			i := rapid.IntRange(0, len(lines)-1).Draw(t, "line")
			line := bytes.Clone(lines[i])
			switch rapid.SampledFrom([]string{"lose", "double", "letter", "indent", "file"}).Draw(t, "slip") {
			case "lose":
				lines = slices.Delete(slices.Clone(lines), i, i+1)
			case "double":
				lines = slices.Insert(slices.Clone(lines), i, line)
			case "letter":
				if len(line) > 0 {
					line[rapid.IntRange(0, len(line)-1).Draw(t, "at")] = rapid.SampledFrom([]byte("aZ0:-[]{}#&*\" \n")).Draw(t, "letter")
				}
				lines = slices.Replace(slices.Clone(lines), i, i+1, line)
			case "indent":
				lines = slices.Replace(slices.Clone(lines), i, i+1, append([]byte("  "), line...))
			case "file":
				delete(changed, name)
				continue
			}
			changed[name] = bytes.Join(lines, nil)
		}
		check(t, changed)
	})
}
