package csv

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
)

// pattern tells the names of a feed's files and their order.
type pattern struct {
	text     string
	re       *regexp.Regexp
	ordered  bool // by date, time or sequence
	sequence bool // counts up by one
}

var placeholders = map[string]string{
	"{sequence}": `(?P<sequence>[0-9]{1,18})`,
	"{date}":     `(?P<date>[0-9]{8}|[0-9]{4}-[0-9]{2}-[0-9]{2})`,
	"{time}":     `(?P<date>[0-9]{8}T?[0-9]{6})Z?`,
	"*":          `[^/]*`,
}

var placeholder = regexp.MustCompile(`\{[a-z]*\}|\*`)

func parsePattern(text string) (pattern, error) {
	p := pattern{text: text}
	expression, rest := "", text
	for {
		at := placeholder.FindStringIndex(rest)
		if at == nil {
			break
		}
		word := rest[at[0]:at[1]]
		re, known := placeholders[word]
		switch {
		case !known:
			return p, errors.New("name: there are {sequence}, {date}, {time} and *")
		case word == "{sequence}" && p.sequence, strings.Contains(re, "date") && strings.Contains(expression, "date"):
			return p, errors.New("name: one {sequence}, and one of {date} and {time}")
		}
		p.sequence = p.sequence || word == "{sequence}"
		p.ordered = p.ordered || word != "*"
		expression += regexp.QuoteMeta(rest[:at[0]]) + re
		rest = rest[at[1]:]
	}
	if strings.Contains(text, "/") {
		return p, errors.New("name: the folder has a setting of its own")
	}
	var err error
	p.re, err = regexp.Compile("^" + expression + regexp.QuoteMeta(rest) + "$")
	return p, err
}

// match tells whether a name is of the feed, and its place in the order: the
// sequence, else the digits of the date or time; 0 where there is no order.
func (p pattern) match(name string) (order uint64, ok bool) {
	m := p.re.FindStringSubmatch(name)
	if m == nil {
		return 0, false
	}
	if !p.ordered {
		return 0, true
	}
	part := "date"
	if p.sequence {
		part = "sequence"
	}
	digits := strings.NewReplacer("-", "", "T", "").Replace(m[p.re.SubexpIndex(part)])
	order, err := strconv.ParseUint(digits, 10, 64)
	return order, err == nil && order > 0
}
