package employee

import (
	"errors"
	"time"

	"github.com/tidwall/gjson"
)

var errHead = errors.New("head of an employee: not what was written")

// ReadHead reads the clear head of an employee's message. Every delivery reads
// one for every change, so it does without a general decoder. A member that it
// does not know is passed over, one of the wrong kind is an error.
func ReadHead(head []byte) (h Head, err error) {
	if !gjson.ValidBytes(head) || len(head) == 0 || !gjson.ParseBytes(head).IsObject() {
		return h, errHead
	}
	ok := true
	text := func(into *string, v gjson.Result) { *into, ok = v.String(), ok && v.Type == gjson.String }
	gjson.ParseBytes(head).ForEach(func(name, v gjson.Result) bool {
		switch name.String() {
		case "id":
			text(&h.ID, v)
		case "version":
			h.Version, ok = v.Uint(), v.Type == gjson.Number
		case "status":
			text(&h.Status, v)
		case "changed":
			if ok = v.IsArray(); !ok {
				ok = v.Type == gjson.Null
				break
			}
			v.ForEach(func(_, p gjson.Result) bool {
				h.Changed = append(h.Changed, p.String())
				ok = ok && p.Type == gjson.String
				return ok
			})
		case "source":
			text(&h.Source, v)
		case "event":
			text(&h.Event, v)
		case "initial":
			h.Initial, ok = v.Bool(), v.IsBool()
		case "accepted_at":
			var at string
			if text(&at, v); ok {
				h.AcceptedAt, err = time.Parse(time.RFC3339Nano, at)
				ok = err == nil
			}
		case "config":
			text(&h.Config, v)
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
