package httpconn

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/muster-hr/muster/libs/fault"
)

// place is where a value of a webhook call stands: below the record, below the
// message ("$.x"), in a header ("header:X") or nowhere but in the settings ("=x").
type place struct {
	setting  string // for error texts: which setting this is
	path     string // for gjson
	message  bool
	header   string
	constant string
	unset    bool
}

func parsePlace(setting, s string) (place, error) {
	p := place{setting: setting, unset: s == ""}
	if s == "" {
		return p, nil
	}
	if c, ok := strings.CutPrefix(s, "="); ok {
		p.constant = c
		return p, nil
	}
	if h, ok := strings.CutPrefix(s, "header:"); ok {
		if p.header = http.CanonicalHeaderKey(strings.TrimSpace(h)); p.header == "" {
			return p, fmt.Errorf("%s: write the header's name, as in header:X-Request-Id", setting)
		}
		return p, nil
	}
	if m, ok := strings.CutPrefix(s, "$."); ok {
		p.message, s = true, m
	}
	var err error
	p.path, err = jsonPath(s)
	if err != nil {
		return p, fmt.Errorf("%s: %w", setting, err)
	}
	return p, nil
}

// jsonPath turns "a.b[0].c" into a gjson path in which nothing is a wildcard,
// a query or a modifier.
func jsonPath(s string) (string, error) {
	var parts []string
	for seg := range strings.SplitSeq(s, ".") {
		name, rest, _ := strings.Cut(seg, "[")
		if name == "" && (rest == "" || len(parts) > 0) {
			return "", fmt.Errorf("%q is not a path: write it like a.b[0].c", s)
		}
		if name != "" {
			parts = append(parts, gjson.Escape(name))
		}
		for rest != "" {
			index, after, closed := strings.Cut(rest, "]")
			if n, err := strconv.Atoi(index); err != nil || n < 0 || !closed {
				return "", fmt.Errorf("%q is not a path: an index is a number in brackets", s)
			}
			parts = append(parts, index)
			if after != "" && after[0] != '[' {
				return "", fmt.Errorf("%q is not a path: a dot is missing after ]", s)
			}
			rest = strings.TrimPrefix(after, "[")
		}
	}
	return strings.Join(parts, "."), nil
}

// find gives the value as text, and whether there is one: null, objects and
// lists are none. message and record are JSON.
func (p place) find(h http.Header, message, record []byte) (string, bool) {
	switch {
	case p.unset:
		return "", false
	case p.path == "" && p.header == "":
		return p.constant, true
	case p.header != "":
		v := h[p.header]
		return strings.Join(v, ","), len(v) > 0
	case p.message:
		record = message
	}
	v := gjson.GetBytes(record, p.path)
	switch v.Type {
	case gjson.String:
		return v.Str, true
	case gjson.Number, gjson.True, gjson.False:
		return v.Raw, true
	}
	return "", false
}

// need is find for a value that must be there and be readable text.
func (p place) need(h http.Header, message, record []byte) (string, error) {
	v, ok := p.find(h, message, record)
	if !ok || v == "" {
		return "", &fault.Error{Class: fault.Record, Reason: "missing", Path: p.where(), Rule: p.setting}
	}
	if len(v) > 1024 || !utf8.ValidString(v) {
		return "", &fault.Error{Class: fault.Record, Reason: "value", Path: p.where(), Rule: p.setting}
	}
	return v, nil
}

// where names the place in an error.
func (p place) where() string {
	switch {
	case p.header != "":
		return "header:" + p.header
	case p.message:
		return "$." + p.path
	}
	return p.path
}
