package config

import (
	"maps"
	"slices"
	"strings"
)

// checkAuthority reports fields that somebody delivers or maps and nobody owns.
func (l *loader) checkAuthority() {
	if s := l.read["authority.yaml"]; s == nil || !s.present {
		return // one problem is enough
	}
	a := l.company.Authority
	for _, name := range slices.Sorted(maps.Keys(l.company.Integrations)) {
		s := l.read["integrations/"+name+".yaml"]
		for _, it := range s.list("fields") {
			if !slices.Contains(l.company.Integrations[name].Fields, it.text) {
				continue // not a field at all
			}
			if missing := l.unowned(a, it.text); len(missing) > 0 {
				entry := missing[0]
				if len(missing) > 1 {
					entry = it.text
				}
				l.add(it.at, CodeNoAuthority, "add `"+entry+": [SOURCE, …]` or a `default:` to authority.yaml", "no source may set %s", strings.Join(missing, ", "))
			}
		}
	}
	for _, name := range l.company.SourceNames() {
		m := l.company.Sources[name].Mapping
		if m == nil {
			continue
		}
		s := l.read["sources/"+name+".yaml"]
		var missing []string
		for _, path := range m.Writes() {
			if path != "id" && len(a.Rank(path)) == 0 {
				missing = append(missing, path)
			}
		}
		if len(missing) > 0 {
			at := s.atKey("mapping")
			if !s.has("mapping") {
				at = s.atKey("connector")
			}
			l.add(at, CodeNoAuthority, "add `"+missing[0]+": ["+name+"]` or a `default:` to authority.yaml", "the mapping sets %s, which no source may set", strings.Join(missing, ", "))
		}
	}
}

// unowned lists the leaves below a field that nobody may set.
func (l *loader) unowned(a Authority, field string) []string {
	var out []string
	for _, leaf := range leavesBelow(field, l.company.Custom) {
		if leaf.path != "id" && len(a.Rank(leaf.path)) == 0 {
			out = append(out, leaf.path)
		}
	}
	return out
}

// checkPurpose reports integrations that deliver sensitive fields without
// saying why they may, and custom fields whose class nobody declared.
func (l *loader) checkPurpose() {
	for _, name := range slices.Sorted(maps.Keys(l.company.Integrations)) {
		i := l.company.Integrations[name]
		s := l.read["integrations/"+name+".yaml"]
		var lacking []string
		for _, key := range []string{"purpose", "legal_basis"} {
			if !s.has(key) {
				lacking = append(lacking, key)
			}
		}
		for _, it := range s.list("fields") {
			if !slices.Contains(i.Fields, it.text) {
				continue
			}
			if custom, ok := strings.CutPrefix(it.text, "custom."); ok {
				if !l.customKnown {
					continue
				}
				if _, declared := l.company.Custom[custom]; !declared {
					l.add(it.at, CodeUndeclaredCustom, "add `"+custom+": CLASS` below custom in muster.yaml", "%s has no class of personal data", it.text)
					continue
				}
			}
			if class := l.sensitive(it.text); class != "" && len(lacking) > 0 {
				l.add(it.at, CodeNoPurpose, "add "+strings.Join(lacking, " and ")+", or take the field out", "%s is of class %s and needs %s", it.text, class, strings.Join(lacking, " and "))
			}
		}
	}
}

// sensitive is the sensitive classes below a field, "" if there are none.
func (l *loader) sensitive(field string) string {
	var out []string
	for _, leaf := range leavesBelow(field, l.company.Custom) {
		if leaf.class.Sensitive() && !slices.Contains(out, string(leaf.class)) {
			out = append(out, string(leaf.class))
		}
	}
	return strings.Join(out, ", ")
}

// checkClaims reports integrations that would bring one person twice to one
// target: without a condition an integration claims everybody.
func (l *loader) checkClaims() {
	c := l.company
	for _, target := range c.TargetNames() {
		ways := c.For(target)
		if len(ways) < 2 {
			continue
		}
		texts := map[string]string{}
		for _, i := range ways {
			s := l.read["integrations/"+i.Name+".yaml"]
			if !s.has("when") {
				l.add(s.atKey("to"), CodeSamePerson, "write a `when:` in each that excludes the others", "%s leads everybody to %s, and so does another integration lead people there", i.Name, target)
				continue
			}
			when := s.text("when", "")
			if other, twice := texts[when]; twice {
				l.add(s.atKey("when"), CodeSamePerson, "write conditions that exclude each other", "%s and %s lead the same people to %s", other, i.Name, target)
			}
			texts[when] = i.Name
		}
	}
}

// checkUnused reports mapping files that nobody uses: mostly a wrong name.
func (l *loader) checkUnused() {
	for file := range l.files {
		if strings.HasPrefix(file, "mappings/") && !l.used[file] {
			l.add(place{file: file}, CodeUnusedMapping, "name it like a source, integration or target, name it under `mapping:`, or remove it", "nobody uses this mapping")
		}
	}
}
