package config

import (
	"strings"

	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/mapping"
)

// mappingFile is the mapping file of a section: the one it names, else the
// first of the defaults that exists, else "".
func (l *loader) mappingFile(s *section, defaults ...string) (file string, ok bool) {
	if name := s.text("mapping", ""); name != "" {
		file := "mappings/" + strings.TrimSuffix(name, ".yaml") + ".yaml"
		if _, there := l.files[file]; !there {
			l.add(s.atValue("mapping"), CodeUnknownMapping, oneOf(name, l.mappingNames()), "there is no %s", file)
			return "", false
		}
		l.used[file] = true
		return file, true
	}
	for _, name := range defaults {
		file := "mappings/" + name + ".yaml"
		if _, there := l.files[file]; there {
			l.used[file] = true
			return file, true
		}
	}
	return "", true
}

func (l *loader) mappingNames() []string {
	var out []string
	for file := range l.files {
		if name, ok := strings.CutPrefix(file, "mappings/"); ok {
			out = append(out, strings.TrimSuffix(name, ".yaml"))
		}
	}
	return out
}

// parse lays the company's file over the shipped mapping; nil if there is
// neither or one of them is wrong.
func (l *loader) parse(file, shipped string, ship []byte, o mapping.Options) *mapping.Mapping {
	if ship != nil {
		base, found := mapping.Parse(shipped, ship, o)
		l.take(found)
		if len(found) > 0 {
			return nil
		}
		if file == "" {
			return base
		}
		o.Base = base
	}
	if file == "" {
		return nil
	}
	m, found := mapping.Parse(file, l.files[file], o)
	l.take(found)
	if len(found) > 0 {
		return nil
	}
	return m
}

// take adds the problems of a mapping file.
func (l *loader) take(found []mapping.Problem) {
	for _, p := range found {
		if p.Fix == "" {
			p.Fix = "docs/mapping.md says how rules are written"
		}
		l.list = append(l.list, p)
	}
}

// sourceMapping is how a source's records become observations.
func (l *loader) sourceMapping(src *Source, s *section) *mapping.Mapping {
	file, ok := l.mappingFile(s, src.Name)
	if !ok {
		return nil
	}
	src.MappingFile = file
	if file == "" && src.Type.Survey && src.Type.FromVendor == nil {
		return nil // answers need none
	}
	if file == "" && src.Type.FromVendor == nil {
		l.add(s.atKey("connector"), CodeNoMapping, "add mappings/"+src.Name+".yaml", "%s ships no mapping from record to person", src.Connector)
		return nil
	}
	m := l.parse(file, "shipped/"+src.Connector+".yaml", src.Type.FromVendor, mapping.Options{
		Direction: mapping.FromVendor, Custom: l.company.Custom, Source: src.Name,
	})
	if m != nil { // the company's own word on a class stands above the mapping's
		for name, class := range m.Custom() {
			if _, declared := l.company.Custom[name]; !declared {
				l.company.Custom[name] = class
			}
		}
	}
	return m
}

// targetMapping is how a person becomes the body of a target; nil means the
// minimised canonical tree. A file with the target's name is taken unless a
// source has that name too: then it is that source's.
func (l *loader) targetMapping(i *Integration, t *Target, s *section) *mapping.Mapping {
	defaults := []string{i.Name}
	if _, source := l.files["sources/"+t.Name+".yaml"]; !source {
		defaults = append(defaults, t.Name)
	}
	file, ok := l.mappingFile(s, defaults...)
	if !ok {
		return nil
	}
	i.MappingFile = file
	o := mapping.Options{Direction: mapping.ToVendor, Custom: l.company.Custom, Source: t.Name}
	m := l.parse(file, "shipped/"+t.Connector+".yaml", t.Type.ToVendor, o)
	if file != "" && m != nil {
		l.checkReads(i, file, o, s)
	}
	return m
}

// checkReads reports rules of the company's own file that read what the
// allow-list does not hold: they would never have a value. Shipped rules may;
// what is not allowed is simply left out.
func (l *loader) checkReads(i *Integration, file string, o mapping.Options, s *section) {
	own, found := mapping.Parse(file, l.files[file], o)
	if len(found) > 0 || own == nil {
		return // it stands only on the shipped one
	}
	for _, path := range own.Reads() {
		if !readable(path, i.Fields) {
			l.add(s.atKey("fields"), CodeMappingReads, "add "+path+" to fields, or remove the rule from "+file, "%s reads %s, which fields does not allow", file, path)
		}
	}
}

// readable tells whether at least a part of path is in the allow-list.
func readable(path string, fields []string) bool {
	for _, f := range fields {
		if employee.Covers(f, path) || employee.Covers(path, f) {
			return true
		}
	}
	return path == "id"
}
