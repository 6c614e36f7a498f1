package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/muster-hr/muster/libs/connector"
)

// settings reads what the connector lets a company set. A setting named
// `signature.header` may be written below `signature:` or with its dot.
func (l *loader) settings(a *Account, s *section, as string) map[string]any {
	out := map[string]any{}
	known := map[string]connector.Setting{}
	for name, set := range a.Type.Settings {
		if set.For == "" || set.For == as {
			known[name] = set
		}
	}
	l.settingsBelow(a, s, "", known, out)
	for _, name := range slices.Sorted(maps.Keys(known)) {
		set := known[name]
		if _, ok := out[name]; ok {
			continue
		}
		if set.Default != nil {
			out[name] = set.Default
		} else if set.Required {
			l.add(s.at, CodeMissingSetting, fmt.Sprintf("write `%s: …` below settings, a %s", name, set.Kind), "%s needs the setting %s%s", a.Connector, name, because(set.Doc))
		}
	}
	for name, v := range out {
		if v == nil { // written, but wrong: reported
			delete(out, name)
		}
	}
	return out
}

func (l *loader) settingsBelow(a *Account, s *section, prefix string, known map[string]connector.Setting, out map[string]any) {
	names := slices.Sorted(maps.Keys(known))
	for _, key := range s.order {
		name := prefix + key
		set, ok := known[name]
		_, twice := out[name]
		below := slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, name+".") })
		if below && set.Kind != connector.SettingTable && s.entries[key].node.Kind == yaml.MappingNode {
			l.settingsBelow(a, s.sub(key), name+".", known, out)
			continue
		}
		switch {
		case twice:
			s.take(key)
			l.add(s.atKey(key), CodeDuplicateKey, "remove one of the two", "settings.%s stands twice", name)
		case ok:
			out[name] = l.setting(s, key, set)
		case below:
			s.take(key)
			l.add(s.atValue(key), CodeWrongForm, "write a table of settings below it", "settings.%s is not a table", name)
		default:
			s.take(key)
			l.add(s.atKey(key), CodeUnknownSetting, oneOf(name, names), "%s has no setting %s", a.Connector, name)
		}
	}
}

// setting reads one value in its form; nil if it is wrong.
func (l *loader) setting(s *section, key string, set connector.Setting) any {
	before := len(l.list)
	v := l.settingValue(s, key, set)
	if len(l.list) > before {
		return nil
	}
	return v
}

func (l *loader) settingValue(s *section, key string, set connector.Setting) any {
	switch set.Kind {
	case connector.SettingInt:
		return s.whole(key, 0, 0)
	case connector.SettingBool:
		return s.flag(key, false)
	case connector.SettingDuration:
		return s.duration(key, 0, true)
	case connector.SettingList:
		list := []string{}
		for _, it := range s.list(key) {
			list = append(list, it.text)
		}
		return list
	case connector.SettingTable:
		inner := s.sub(key)
		table := make(map[string]string, len(inner.order))
		for _, k := range inner.order {
			if v, ok := inner.scalar(k, "a text", "…"); ok {
				table[k] = v
			}
			if credential.MatchString(k) && !strings.Contains(table[k], "{") {
				l.add(inner.atValue(k), CodeInlineSecret, "put it below secrets as env:NAME or file:PATH", "%s looks like a credential", inner.path(k))
			}
		}
		return table
	default:
		if len(set.Words) > 0 {
			return s.word(key, "", set.Words...)
		}
		return s.text(key, "")
	}
}

// credential are names of headers and parameters whose value is a secret.
var credential = regexp.MustCompile(`(?i)^(proxy-)?authorization$|^cookie$|password|passwd|secret|api[-_]?key|(^|[-_])token$`)
