package config

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/connector"
)

// defaultSchedule finds within a quarter of an hour what no webhook told.
const defaultSchedule = 15 * time.Minute

// defaultBulk is how many hints are read one by one, however fast they come.
const defaultBulk = 200

// defaultLinkWait is how long an unknown key of an account that we also write
// to waits for word from our own create, before it counts as somebody new.
const defaultLinkWait = time.Minute

// source reads sources/<name>.yaml.
func (l *loader) source(name string, s *section) {
	a, known := l.account(name, s)
	src := &Source{Account: a}
	src.Webhook = s.flag("webhook", a.Type.Webhook != nil)
	src.Read = s.flag("read", a.Type.Reader != nil)
	sweep := time.Duration(0)
	if a.Type.Source != nil && !a.Type.Survey { // answers come one by one; a lost one is asked for on purpose
		sweep = defaultSchedule
	}
	src.Schedule = s.duration("schedule", sweep, true)
	src.Bulk = s.whole("bulk_above", defaultBulk, 0)
	src.LinkWait = s.duration("link_wait", defaultLinkWait, false)
	src.Settle = s.duration("settle", 0, true)
	src.Match = l.matchRules(s)
	if !known {
		s.take("mapping")
		return
	}
	l.company.Sources[name] = src
	if !canPushOrAnswer(a.Type) {
		l.add(s.atValue("connector"), CodeNoCapability, "write one of "+strings.Join(l.having(canPushOrAnswer), ", "), "%s cannot be a source", a.Connector)
		s.take("settings")
		s.take("secrets")
		s.take("mapping")
		return
	}
	l.finish(&src.Account, s, need{webhook: src.Webhook, api: src.Read || src.Schedule > 0, as: connector.AsSource})
	l.checkSourceCan(src, s)
	src.Mapping = l.sourceMapping(src, s)
}

func canPushOrAnswer(t connector.Type) bool {
	return t.Webhook != nil || t.Source != nil || t.Answers != nil
}

// having lists the connectors with a capability.
func (l *loader) having(can func(connector.Type) bool) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(l.types)) {
		if can(l.types[name]) {
			out = append(out, name)
		}
	}
	return out
}

// checkSourceCan compares what the file asks for with what the connector has.
func (l *loader) checkSourceCan(src *Source, s *section) {
	t := src.Type
	if src.Webhook && t.Webhook == nil {
		l.add(s.atKey("webhook"), CodeNoCapability, "write `webhook: false` and a schedule", "%s takes no webhooks", src.Connector)
	}
	if src.Read && t.Reader == nil {
		l.add(s.atKey("read"), CodeNoCapability, "remove it", "%s cannot read one record", src.Connector)
	}
	if src.Schedule > 0 && t.Source == nil {
		l.add(s.atKey("schedule"), CodeNoCapability, "write `schedule: off`", "%s cannot be asked for changes", src.Connector)
	}
	if !src.Webhook && src.Schedule == 0 {
		l.add(s.atKey("connector"), CodeMissing, "write `schedule: 15m`, or `webhook: true` where the vendor pushes", "nothing brings records: neither webhook nor schedule")
	}
}

// matchRules reads `match`; without it an equal e-mail or number is sure.
func (l *loader) matchRules(s *section) []MatchRule {
	if !s.has("match") {
		s.take("match")
		return []MatchRule{{By: ByWorkEmail, Sure: true}, {By: ByEmployeeNumber, Sure: true}}
	}
	out := []MatchRule{}
	if n := s.take("match"); n != nil && isNull(n) { // a list whose entries were taken out must not make everybody a stranger
		l.add(s.atKey("match"), CodeWrongForm, "write `match: []` if nobody shall ever be matched, or take match away", "match holds no rule")
	}
	for _, r := range s.subs("match") {
		r.require("by", ByWorkEmail+" | "+ByEmployeeNumber+" | "+ByNationalID)
		by := r.word("by", "", ByWorkEmail, ByEmployeeNumber, ByNationalID)
		sure := r.word("confidence", "sure", "sure", "unsure") == "sure"
		if slices.ContainsFunc(out, func(m MatchRule) bool { return by != "" && m.By == by }) {
			l.add(r.at, CodeDuplicateKey, "remove one of the two", "match by %s stands twice", by)
		}
		r.done()
		out = append(out, MatchRule{By: by, Sure: sure})
	}
	return out
}
