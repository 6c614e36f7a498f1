package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// section is a YAML mapping that is read key by key. It notes what was asked
// for, so that at the end everything else is an unknown key.
type section struct {
	name    string // dotted path in the file; "" at the top
	at      place
	present bool
	entries map[string]entry
	order   []string // as written
	asked   []string
	p       *problems
}

// entry is one key with its value.
type entry struct {
	at   place // of the key
	node *yaml.Node
}

// parseYAML reads one file as a section. A file that cannot be read gives an
// absent section and a problem.
func parseYAML(file string, src []byte, p *problems) *section {
	top := place{file: file, line: 1, column: 1}
	s := &section{at: top, p: p}
	dec := yaml.NewDecoder(strings.NewReader(string(src)))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if strings.TrimSpace(string(src)) == "" || err.Error() == "EOF" {
			s.present = true
			return s
		}
		line, column, text := yamlError(string(src), err)
		p.add(place{file: file, line: line, column: column}, CodeYAML, "correct the YAML; indent with spaces, quote texts that hold ': ' or ' #' or begin with a sign", "not YAML: %s", text)
		return s
	}
	if err := dec.Decode(new(yaml.Node)); err == nil || err.Error() != "EOF" {
		p.add(top, CodeYAML, "keep one document and remove the line ---", "holds more than one YAML document")
	}
	return s.read(doc.Content[0])
}

// yamlError takes the place out of the decoder's text. That quotes at most a
// token of YAML syntax, with one exception: an unquoted text that begins with *
// is an alias, and it may be a password.
func yamlError(src string, err error) (line, column int, text string) {
	text = strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if n, after, ok := strings.Cut(rest, ": "); ok {
			if v, err := strconv.Atoi(n); err == nil {
				return v, 1, after
			}
		}
	}
	if rest, ok := strings.CutPrefix(text, "unknown anchor '"); ok { // without its line
		before, _, _ := strings.Cut(src, "*"+strings.TrimSuffix(rest, "' referenced"))
		return 1 + strings.Count(before, "\n"), len(before) - strings.LastIndexByte(before, '\n'), "a text that begins with * stands for an anchor, and there is none of that name"
	}
	return 1, 1, text
}

// read takes the keys of a mapping node. null counts as absent.
func (s *section) read(n *yaml.Node) *section {
	if isNull(n) {
		s.present = true
		return s
	}
	if !s.plain(n) {
		return s
	}
	if n.Kind != yaml.MappingNode {
		s.p.add(s.place(n), CodeWrongForm, "write keys and values, one `key: value` a line", "%s is not a table of keys and values", s.what())
		return s
	}
	s.present = true
	s.entries = make(map[string]entry, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if !s.plain(k) {
			continue
		}
		if k.Kind != yaml.ScalarNode || k.Tag == "!!merge" {
			s.p.add(s.place(k), CodeWrongForm, "write a plain word as the key", "a key of %s is not a word", s.what())
			continue
		}
		if _, twice := s.entries[k.Value]; twice {
			s.p.add(s.place(k), CodeDuplicateKey, "remove one of the two", "%s stands twice", s.path(k.Value))
			continue
		}
		s.entries[k.Value] = entry{at: s.place(k), node: v}
		s.order = append(s.order, k.Value)
	}
	return s
}

// plain refuses anchors and aliases: a file shall say what it says where it says it.
func (s *section) plain(n *yaml.Node) bool {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		s.p.add(s.place(n), CodeYAML, "write the value out", "anchors and aliases are not taken")
		return false
	}
	return true
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func (s *section) place(n *yaml.Node) place {
	return place{file: s.at.file, line: n.Line, column: n.Column}
}

func (s *section) path(key string) string {
	if s.name == "" {
		return key
	}
	return s.name + "." + key
}

func (s *section) what() string {
	if s.name == "" {
		return "the file"
	}
	return s.name
}

// atKey is where a key stands, or the section if it is not there.
func (s *section) atKey(key string) place {
	if e, ok := s.entries[key]; ok {
		return e.at
	}
	return s.at
}

// atValue is where the value of a key begins.
func (s *section) atValue(key string) place {
	if e, ok := s.entries[key]; ok {
		return s.place(e.node)
	}
	return s.at
}

func (s *section) has(key string) bool { _, ok := s.entries[key]; return ok }

// take notes that a key is known and gives its value, nil if it is not there.
func (s *section) take(key string) *yaml.Node {
	if !slices.Contains(s.asked, key) {
		s.asked = append(s.asked, key)
	}
	e, ok := s.entries[key]
	if !ok || !s.plain(e.node) {
		return nil
	}
	return e.node
}

// done reports the keys that nobody asked for.
func (s *section) done() {
	for _, key := range s.order {
		if !slices.Contains(s.asked, key) {
			s.p.add(s.entries[key].at, CodeUnknownKey, oneOf(key, s.asked), "%s is not known here", s.path(key))
		}
	}
}

// require reports a key that is not there. form is an example of what to write.
func (s *section) require(key, form string) bool {
	if s.has(key) {
		return true
	}
	if s.present {
		s.p.add(s.at, CodeMissing, fmt.Sprintf("write `%s: %s`", key, form), "%s is missing", s.path(key))
	}
	return false
}

// scalar is a value that is one word, number or text; ok is false if it is
// not there or has another form, which is reported. form says what is
// expected, example how it may look.
func (s *section) scalar(key, form, example string) (string, bool) {
	n := s.take(key)
	switch {
	case n == nil:
		return "", false
	case n.Kind != yaml.ScalarNode || isNull(n) || strings.TrimSpace(n.Value) == "":
		s.p.add(s.place(n), CodeWrongForm, fmt.Sprintf("write `%s: %s`", key, example), "%s is not %s", s.path(key), form)
		return "", false
	}
	return strings.TrimSpace(n.Value), true
}

// text is a text, def if it is not there.
func (s *section) text(key, def string) string {
	if v, ok := s.scalar(key, "a text", "…"); ok {
		return v
	}
	return def
}

// word is one of the allowed words.
func (s *section) word(key, def string, words ...string) string {
	v, ok := s.scalar(key, "one word", strings.Join(words, " | "))
	if !ok {
		return def
	}
	if !slices.Contains(words, v) {
		s.p.add(s.atValue(key), CodeBadValue, oneOf(v, words), "%s cannot be %q", s.path(key), v)
		return def
	}
	return v
}

// flag is true or false.
func (s *section) flag(key string, def bool) bool {
	v, ok := s.scalar(key, "true or false", "true | false")
	switch {
	case !ok:
		return def
	case v == "true" || v == "false":
		return v == "true"
	}
	s.p.add(s.atValue(key), CodeBadValue, "write true or false", "%s is neither true nor false", s.path(key))
	return def
}

// number is a number of at least low.
func (s *section) number(key string, def, low float64) float64 {
	v, ok := s.scalar(key, "a number", "10")
	if !ok {
		return def
	}
	n, err := strconv.ParseFloat(v, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) || n < low {
		s.p.add(s.atValue(key), CodeBadValue, fmt.Sprintf("write a number of at least %v", low), "%s is not such a number", s.path(key))
		return def
	}
	return n
}

// whole is a whole number of at least low.
func (s *section) whole(key string, def, low int) int {
	v, ok := s.scalar(key, "a whole number", "10")
	if !ok {
		return def
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < low {
		s.p.add(s.atValue(key), CodeBadValue, fmt.Sprintf("write a whole number of at least %d", low), "%s is not such a number", s.path(key))
		return def
	}
	return n
}

// duration is a length of time. Where offAllowed, `off` means 0.
func (s *section) duration(key string, def time.Duration, offAllowed bool) time.Duration {
	v, ok := s.scalar(key, "a length of time", "15m")
	if !ok {
		return def
	}
	if offAllowed && v == "off" {
		return 0
	}
	d, err := parseDuration(v)
	if err != nil {
		fix := "write a number and a unit: 30s, 15m, 6h, 90d"
		if offAllowed {
			fix += ", or off"
		}
		s.p.add(s.atValue(key), CodeBadDuration, fix, "%s is not a length of time above zero", s.path(key))
		return def
	}
	return d
}

// parseDuration is time.ParseDuration with days, above zero and below a century.
func parseDuration(v string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(v, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n <= 0 || n > 36500 {
			return 0, fmt.Errorf("not a number of days")
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		return 0, fmt.Errorf("not a length of time")
	}
	if d <= 0 {
		return 0, fmt.Errorf("not above zero")
	}
	return d, nil
}
