package mapping

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// maxDepth of a record's JSON; real ones have less than 15.
const maxDepth = 200

var (
	errForm = errors.New("not JSON")
	errDeep = errors.New("nested too deeply")
)

// decode reads JSON as encoding/json does with UseNumber, at half its price:
// values are nil, bool, string, json.Number as it was written, []any and
// map[string]any; of members that stand twice the last one counts. No body is
// an empty record. Errors do not quote the body.
func decode(body []byte) (any, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return map[string]any{}, nil
	}
	if deeper(body, maxDepth) { // before anything goes down into it
		return nil, errDeep
	}
	if !gjson.ValidBytes(body) {
		return nil, errForm
	}
	return made(gjson.ParseBytes(body))
}

// made gives a value. Its texts are pieces of the record: what a rule makes of
// them is a copy, see fit.
func made(r gjson.Result) (v any, err error) {
	switch r.Type {
	case gjson.True, gjson.False:
		return r.Type == gjson.True, nil
	case gjson.Number:
		return json.Number(r.Raw), nil
	case gjson.String:
		return wording(r)
	case gjson.JSON:
	default:
		return nil, nil
	}
	if r.IsArray() {
		list := []any{}
		r.ForEach(func(_, element gjson.Result) bool {
			v, err = made(element)
			list = append(list, v)
			return err == nil
		})
		return list, err
	}
	var room [48]pair // so that the map is made once, as large as it is
	members := room[:0]
	r.ForEach(func(name, value gjson.Result) bool {
		var m pair
		if m.name, err = wording(name); err == nil {
			m.value, err = made(value)
		}
		members = append(members, m)
		return err == nil
	})
	object := make(map[string]any, len(members))
	for _, m := range members {
		object[m.name] = m.value
	}
	return object, err
}

type pair struct {
	name  string
	value any
}

// wording is a string. What is written otherwise than it reads is left to
// encoding/json, which knows how halves of characters are taken.
func wording(r gjson.Result) (string, error) {
	if strings.IndexByte(r.Raw, '\\') < 0 && utf8.ValidString(r.Raw) {
		return r.Str, nil
	}
	var s string
	if json.Unmarshal([]byte(r.Raw), &s) != nil {
		return "", errForm
	}
	return s, nil
}

// deeper tells whether lists and objects stand in each other more than n times.
// It counts brackets outside of texts, so it need not be JSON.
func deeper(body []byte, n int) bool {
	if bytes.Count(body, []byte("{"))+bytes.Count(body, []byte("[")) <= n { // as nearly always
		return false
	}
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > n {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}
