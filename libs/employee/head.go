package employee

import (
	"errors"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

var errHead = errors.New("head of an employee: not what was written")

// ReadHead reads the clear head of an employee's message. Every delivery reads
// one for every change, so it does without a general decoder. A member that it
// does not know is passed over, one of the wrong kind is an error.
func ReadHead(head []byte) (h Head, err error) {
	text := string(head) // once: what is read shares it
	all := gjson.Parse(text)
	if !gjson.Valid(text) || !all.IsObject() {
		return h, errHead
	}
	ok := true
	word := func(into *string, v gjson.Result) { *into, ok = v.String(), ok && v.Type == gjson.String }
	all.ForEach(func(name, v gjson.Result) bool {
		switch name.String() {
		case "id":
			word(&h.ID, v)
		case "version":
			h.Version, ok = v.Uint(), v.Type == gjson.Number
		case "status":
			word(&h.Status, v)
		case "changed":
			if ok = v.IsArray(); !ok {
				ok = v.Type == gjson.Null
				break
			}
			v.ForEach(func(_, p gjson.Result) bool {
				if h.Changed == nil {
					h.Changed = make([]string, 0, 1+strings.Count(v.Raw, ","))
				}
				h.Changed = append(h.Changed, p.String())
				ok = ok && p.Type == gjson.String
				return ok
			})
		case "source":
			word(&h.Source, v)
		case "event":
			word(&h.Event, v)
		case "initial":
			h.Initial, ok = v.Bool(), v.IsBool()
		case "accepted_at":
			var at string
			if word(&at, v); ok {
				h.AcceptedAt, err = time.Parse(time.RFC3339Nano, at)
				ok = err == nil
			}
		case "config":
			word(&h.Config, v)
		case "contains":
			if ok = v.IsObject(); !ok {
				ok = v.Type == gjson.Null
				break
			}
			h.Contains = map[string]uint64{}
			v.ForEach(func(statement, seq gjson.Result) bool {
				h.Contains[statement.String()] = seq.Uint()
				ok = ok && seq.Type == gjson.Number
				return ok
			})
		case "awaits":
			if ok = v.IsArray(); !ok {
				ok = v.Type == gjson.Null
				break
			}
			v.ForEach(func(_, token gjson.Result) bool {
				h.Awaits = append(h.Awaits, token.String())
				ok = ok && token.Type == gjson.String
				return ok
			})
		}
		return ok
	})
	if !ok {
		return Head{}, errHead
	}
	return h, nil
}
