package config

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/topology"
)

// loader is one reading of a folder. The sections stay beside what was made of
// them, because the checks at the end name places.
type loader struct {
	problems
	types   map[string]connector.Type
	files   map[string][]byte
	company *Company
	read    map[string]*section // by file
	used    map[string]bool     // mapping files that somebody uses

	customKnown bool // muster.yaml could be read as far as the classes of custom fields
}

// Load reads a company's folder. types is the connectors table, by name. Nil
// problems mean that the company is valid; otherwise the company is nil and
// every problem is listed, by file (relative to dir), line and column.
//
// Secrets are not resolved: a folder can be checked where they are not.
func Load(dir string, types map[string]connector.Type) (*Company, []mapping.Problem) {
	l := &loader{types: types, read: map[string]*section{}, used: map[string]bool{}}
	l.files = readFolder(dir, &l.problems)
	return l.load(dir)
}

// load is what Load does once the files are in memory.
func (l *loader) load(dir string) (*Company, []mapping.Problem) {
	l.company = &Company{
		Dir: dir, Version: version(l.files),
		Sources: map[string]*Source{}, Targets: map[string]*Target{}, Integrations: map[string]*Integration{},
	}
	if len(l.files) == 0 && len(l.list) > 0 { // no folder: one problem, not five
		return nil, l.sorted()
	}
	l.muster()
	l.each("sources", l.source)
	l.each("targets", l.target)
	l.sameAccounts()
	l.each("integrations", l.integration)
	l.authority()
	l.checkAuthority()
	l.checkPurpose()
	l.checkClaims()
	l.checkUnused()
	if found := l.sorted(); len(found) > 0 {
		return nil, found
	}
	return l.company, nil
}

// each parses the files of one folder, by name.
func (l *loader) each(folder string, parse func(name string, s *section)) {
	for _, file := range slices.Sorted(maps.Keys(l.files)) {
		if path.Dir(file) != folder {
			continue
		}
		name := strings.TrimSuffix(path.Base(file), ".yaml")
		s := l.section(file)
		if !validName(name) {
			l.add(s.at, CodeBadName, "use letters, digits, - and _, at most 64, a letter or digit first", "the name %q cannot be part of a subject", name)
			continue
		}
		if s.present {
			parse(name, s)
			s.done()
		}
	}
}

// validName: one token of a subject. The first sign keeps names apart from
// tokens with a meaning of their own, such as `-` and `_read`.
func validName(name string) bool {
	return topology.ValidToken(name) && name[0] != '-' && name[0] != '_'
}

// section parses a file and remembers it for the checks.
func (l *loader) section(file string) *section {
	s := parseYAML(file, l.files[file], &l.problems)
	l.read[file] = s
	return s
}

// root parses one of the two files at the top, which must be there.
func (l *loader) root(file string) *section {
	if _, ok := l.files[file]; !ok {
		l.add(place{file: file}, CodeMissing, "add "+file+"; docs/configuration.md has an example", "the file is missing")
		return &section{at: place{file: file}, p: &l.problems}
	}
	return l.section(file)
}
