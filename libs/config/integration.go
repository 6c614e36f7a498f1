package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/mapping"
)

// integration reads integrations/<name>.yaml.
func (l *loader) integration(name string, s *section) {
	i := &Integration{Name: name}
	s.require("to", "okta")
	i.To = s.text("to", "")
	target, ok := l.company.Targets[i.To]
	if _, file := l.files["targets/"+i.To+".yaml"]; !file && i.To != "" {
		l.add(s.atValue("to"), CodeUnknownTarget, oneOf(i.To, slices.Sorted(maps.Keys(l.company.Targets))), "there is no target %q", i.To)
	}
	i.When = l.condition(s)
	i.Fields = l.fields(s)
	i.Timing = s.word("timing", TimingOnDay, TimingOnDay, TimingAhead)
	i.OnLeave = s.word("on_leave", OnLeaveDisable, OnLeaveDisable, OnLeaveKeep, OnLeaveHold)
	s.require("mode", "off | shadow | on")
	i.Mode = s.word("mode", ModeOff, ModeOff, ModeShadow, ModeOn)
	i.Purpose = s.text("purpose", "")
	i.LegalBasis = s.text("legal_basis", "")
	i.Processor = s.text("processor", "")
	i.Owner = s.text("owner", "")
	i.Runbook = s.text("runbook", "")
	l.company.Integrations[name] = i
	if !ok {
		s.take("mapping")
		return
	}
	i.Mapping = l.targetMapping(i, target, s)
	l.checkNeeds(i, target, s)
}

// checkNeeds reports fields that the connector cannot do without.
func (l *loader) checkNeeds(i *Integration, t *Target, s *section) {
	if !s.has("fields") {
		return // one problem is enough
	}
	for _, need := range t.Type.Needs {
		if !slices.ContainsFunc(i.Fields, func(f string) bool { return employee.Covers(f, need) }) {
			l.add(s.atKey("fields"), CodeMissingField, "add "+need+" to fields", "%s cannot do without %s", t.Connector, need)
		}
	}
}

// fields reads the allow-list.
func (l *loader) fields(s *section) []string {
	s.require("fields", "[name, work_email]")
	items := s.list("fields")
	if len(items) == 0 && s.has("fields") {
		l.add(s.atKey("fields"), CodeMissing, "write `fields: [name, work_email]`", "fields is empty")
	}
	var out []string
	for _, it := range items {
		if !l.checkPath(it.text, it.at, false) {
			continue
		}
		if slices.Contains(out, it.text) {
			l.add(it.at, CodeDuplicateKey, "remove one of the two", "field %s stands twice", it.text)
			continue
		}
		out = append(out, it.text)
	}
	slices.Sort(out)
	return out
}

// condition reads `when`; nil is everybody.
func (l *loader) condition(s *section) *mapping.Condition {
	src, ok := s.scalar("when", "a condition", `employment.status == "active"`)
	if !ok {
		return nil
	}
	c, err := mapping.ParseCondition(src, l.company.Custom)
	if err != nil {
		at, why := insideValue(s, "when", err.Error())
		l.add(at, CodeBadCondition, `write CEL over canonical fields that is true or false, e.g. employment.status != "withdrawn"`, "when: %s", why)
		return nil
	}
	return c
}

// insideValue turns "line:column: text", counted within a value, into a place
// in the file. Within a folded text only its beginning is sure.
func insideValue(s *section, key, text string) (place, string) {
	at := s.atValue(key)
	var line, column int
	if n, err := fmt.Sscanf(text, "%d:%d: ", &line, &column); err != nil || n != 2 {
		return at, text
	}
	_, text, _ = strings.Cut(text, ": ")
	switch style := s.entries[key].node.Style; {
	case line != 1 || style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
	case style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		at.column += column
	default:
		at.column += column - 1
	}
	return at, text
}
