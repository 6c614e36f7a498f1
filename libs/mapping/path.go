package mapping

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A path names a place in a JSON value:
//
//	candidate.first_name        names, one below the other
//	"First Name".value          a quoted name, for blanks, dots and brackets
//	jobs[0]  rows[-1]           an element, counted from the front or the end
//	phones[type=work].value     the first element whose member has that text; != is the opposite
//	rows[in_force:date].title   the element with the newest day that is not after today
//	offices[*].name             all of them, a list
//	$event  $record.a.b         special roots
//	positions[primary]          an element of a canonical list by its key
type path struct {
	text string
	root string // without $; "" is the place the mapping starts at
	item bool   // below the element of an `each`
	segs []seg
}

type segKind uint8

const (
	segName segKind = iota
	segIndex
	segFilter
	segInForce
	segAll
	segKey
)

// seg is one step of a path.
type seg struct {
	kind   segKind
	name   string // of a member; of a segKey its list
	index  int
	member []string // of a filter or in_force
	value  string   // of a filter; of a segKey the key
	negate bool
	every  bool // a filter that keeps all matches
}

// pathError is a path that cannot be read, with the byte it fails at.
type pathError struct {
	at  int
	why string
}

func (e *pathError) Error() string { return e.why }

// parsePath reads a path.
func parsePath(text string) (path, *pathError) {
	p := path{text: text}
	if text == "" {
		return p, &pathError{0, "the path is empty"}
	}
	i := 0
	needName := true
	if text[0] == '$' {
		for i = 1; i < len(text) && text[i] != '.' && text[i] != '['; i++ {
		}
		if i == 1 {
			return p, &pathError{0, "a name is missing after $"}
		}
		p.root, needName = text[1:i], false
	} else if text[0] == '[' {
		needName = false
	}
	for i < len(text) || needName {
		switch {
		case needName:
			name, next, err := parseName(text, i)
			if err != nil {
				return p, err
			}
			p.segs = append(p.segs, seg{kind: segName, name: name})
			i, needName = next, false
		case text[i] == '.':
			i, needName = i+1, true
		case text[i] == '[':
			end := closing(text, i)
			if end < 0 {
				return p, &pathError{i, "a ] is missing"}
			}
			s, err := parseSelector(strings.TrimSpace(text[i+1 : end]))
			if err != "" {
				return p, &pathError{i, err}
			}
			p.segs = append(p.segs, s)
			i = end + 1
		default:
			return p, &pathError{i, "a . or [ is expected here"}
		}
	}
	for i := range p.segs { // what follows a filter decides whether one or all are meant
		if p.segs[i].kind == segFilter && i+1 < len(p.segs) {
			next := p.segs[i+1].kind
			p.segs[i].every = next != segName
		}
	}
	return p, nil
}

// parseName reads a plain or quoted name that begins at i.
func parseName(text string, i int) (name string, next int, err *pathError) {
	if i < len(text) && text[i] == '"' {
		end := strings.IndexByte(text[i+1:], '"')
		if end < 0 {
			return "", 0, &pathError{i, "a closing quote is missing"}
		}
		if end == 0 {
			return "", 0, &pathError{i, "the name is empty"}
		}
		return text[i+1 : i+1+end], i + end + 2, nil
	}
	j := i
	for j < len(text) {
		r, n := utf8.DecodeRuneInString(text[j:])
		if strings.ContainsRune(`.[]"'{}`, r) {
			break
		}
		if unicode.IsSpace(r) || unicode.IsControl(r) || r == utf8.RuneError && n == 1 {
			return "", 0, &pathError{j, "names with blanks are written in double quotes"}
		}
		j += n
	}
	if j == i {
		return "", 0, &pathError{i, "a name is missing here"}
	}
	return text[i:j], j, nil
}

// closing is where the bracket that opens at i is closed, outside quotes.
func closing(text string, i int) int {
	quoted := false
	for j := i + 1; j < len(text); j++ {
		switch {
		case text[j] == '"':
			quoted = !quoted
		case text[j] == ']' && !quoted:
			return j
		}
	}
	return -1
}

func parseSelector(in string) (seg, string) {
	switch {
	case in == "*":
		return seg{kind: segAll}, ""
	case in == "":
		return seg{}, "write [0], [*], [key=value], [in_force:date] or the key of an element"
	}
	if n, err := strconv.Atoi(in); err == nil {
		if n < -1000 || n > 100000 {
			return seg{}, "the number is out of range"
		}
		return seg{kind: segIndex, index: n}, ""
	}
	if member, ok := strings.CutPrefix(in, "in_force:"); ok {
		names := memberOf(member)
		if names == nil {
			return seg{}, "write the member that holds the day, as in [in_force:date]"
		}
		return seg{kind: segInForce, member: names}, ""
	}
	if i := strings.IndexByte(in, '='); i >= 0 && !strings.HasPrefix(in, `"`) {
		left, negate := strings.CutSuffix(in[:i], "!")
		names := memberOf(left)
		if names == nil {
			return seg{}, "write a member before the =, as in [type=work]"
		}
		return seg{kind: segFilter, member: names, value: unquote(in[i+1:]), negate: negate}, ""
	}
	key := unquote(in)
	if key == "" || strings.ContainsAny(key, "[]\"") {
		return seg{}, "this is no key of an element"
	}
	return seg{kind: segKey, value: key}, ""
}

func unquote(s string) string {
	s = strings.TrimSpace(s)
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

func memberOf(s string) []string {
	names := strings.Split(strings.TrimSpace(s), ".")
	for i, n := range names {
		if names[i] = unquote(n); names[i] == "" {
			return nil
		}
	}
	return names
}
