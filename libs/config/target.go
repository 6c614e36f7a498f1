package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/connector"
)

// noAccount says that a target is not the account of the source of its name.
const noAccount = "none"

// target reads targets/<name>.yaml.
func (l *loader) target(name string, s *section) {
	a, known := l.account(name, s)
	t := &Target{Account: a}
	t.Kind = s.word("kind", "", KindState, KindEvent)
	t.AfterDead = s.word("after_dead", AfterDeadContinue, AfterDeadContinue, AfterDeadHold)
	t.Source = s.text("account", "")
	t.Limits = limits(s.sub("limits"))
	t.Retry = l.retry(s.sub("retry"))
	t.Files = l.filePlan(t, s, a)
	for _, of := range []string{"-leavers", "-due", "-hints"} {
		other, cut := strings.CutSuffix(name, of)
		if _, taken := l.files["targets/"+other+".yaml"]; cut && taken {
			l.add(s.at, CodeBadName, "choose another name", "the name %s is taken by a consumer of target %s", name, other)
		}
	}
	if !known {
		return
	}
	l.company.Targets[name] = t
	if !canWrite(a.Type) {
		l.add(s.atValue("connector"), CodeNoCapability, "write one of "+strings.Join(l.having(canWrite), ", "), "%s cannot be a target", a.Connector)
		s.take("settings")
		s.take("secrets")
		return
	}
	l.finish(&t.Account, s, need{api: true, as: connector.AsTarget})
}

func canWrite(t connector.Type) bool { return t.Sink != nil || t.Files != nil }

// Defaults of a file plan.
const (
	filesEvery   = 15 * time.Minute
	filesAnswers = time.Minute
)

// filePlan reads when the files of a target are due.
func (l *loader) filePlan(t *Target, s *section, a Account) FilePlan {
	var p FilePlan
	inner := s.sub("files")
	if a.Type.Files == nil {
		if s.has("files") && canWrite(a.Type) {
			l.add(s.atKey("files"), CodeNoCapability, "take files away", "%s does not take files", a.Connector)
		}
		for _, key := range inner.order { // the section itself is what is wrong
			inner.take(key)
		}
		return p
	}
	if t.Kind == KindState {
		l.add(s.atValue("kind"), CodeBadValue, "take kind away", "%s takes files, and a file holds changes", a.Connector)
	}
	for _, it := range inner.list("at") {
		at, err := time.Parse("15:04", it.text)
		if err != nil {
			l.add(it.at, CodeBadValue, `write a time of day: "18:00"`, "%s is not a time of day", inner.path("at"))
			continue
		}
		p.At = append(p.At, time.Duration(at.Hour())*time.Hour+time.Duration(at.Minute())*time.Minute)
	}
	every := filesEvery
	if len(p.At) > 0 {
		every = 0
	}
	p.Every = inner.duration("every", every, true)
	if p.Every == 0 && len(p.At) == 0 {
		l.add(inner.atValue("every"), CodeBadValue, "write a length of time, or times of day as at", "without %s no file is ever due", inner.path("every"))
	}
	if p.Most = inner.whole("most", 0, 1); p.Most > MostInFile {
		l.add(inner.atValue("most"), CodeBadValue, fmt.Sprintf("write a whole number of at most %d", MostInFile), "%s is more than the record of a file can name", inner.path("most"))
	}
	p.Answers = inner.duration("answers", filesAnswers, false)
	inner.done()
	return p
}

// limits: without a rate the vendor's own answers hold us back.
func limits(s *section) Limits {
	m := Limits{
		Rate:     s.number("rate", 0, 0),
		Burst:    s.whole("burst", 1, 1),
		InFlight: s.whole("in_flight", 16, 1),
		Timeout:  s.duration("timeout", 30*time.Second, false),
	}
	s.done()
	return m
}

func (l *loader) retry(s *section) Retry {
	r := Retry{
		First:  s.duration("first", 5*time.Second, false),
		Max:    s.duration("max", 6*time.Hour, false),
		Budget: s.duration("budget", 72*time.Hour, false),
	}
	if r.Max < r.First {
		l.add(s.atValue("max"), CodeBadValue, "write a length of time not below first", "%s is shorter than the first pause", s.path("max"))
	}
	if r.Budget < r.First {
		l.add(s.atValue("budget"), CodeBadValue, "write a length of time not below first", "%s is shorter than the first pause", s.path("budget"))
	}
	s.done()
	return r
}

// sameAccounts ties targets to the source that is the same vendor account, so
// that what we wrote is recognised when it comes back.
func (l *loader) sameAccounts() {
	c := l.company
	for _, name := range c.TargetNames() {
		t, s := c.Targets[name], l.read["targets/"+name+".yaml"]
		written := t.Source
		if written == "" {
			t.Source = name
		}
		src, ok := c.Sources[t.Source]
		switch {
		case written == noAccount, written == "" && (!ok || src.Connector != t.Connector):
			t.Source = ""
			if ok && (src.Connector != t.Connector || t.Type.Files != nil) {
				t.sandboxName += "-target" // another account under the name of a source
			}
		case !ok:
			l.add(s.atValue("account"), CodeUnknownSource, oneOf(written, append(slices.Sorted(maps.Keys(c.Sources)), noAccount)), "there is no source %q", written)
		case src.Connector != t.Connector:
			l.add(s.atValue("account"), CodeBadValue, "name a source with connector "+t.Connector+", or none", "source %s is another vendor's (%s)", written, src.Connector)
		default:
			t.sandboxName = t.Source
		}
	}
}
