package record

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/tidwall/gjson"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/internal/appendjson"
)

// head writes the head, in the order of the fields.
func (r *Received) head(b []byte) ([]byte, error) {
	o := appendjson.Into(b)
	o.Text("source", r.Source)
	o.SomeText("event", r.Event)
	someVersion(&o, r.Version)
	o.True("partial", r.Partial)
	o.True("deleted", r.Deleted)
	o.Time("accepted_at", r.AcceptedAt)
	return o.Bytes()
}

func someVersion(o *appendjson.Object, v connector.Version) {
	if v == (connector.Version{}) {
		return
	}
	o.Add("version", func(b []byte) ([]byte, error) {
		version := appendjson.Into(b)
		version.SomeText("scale", string(v.Scale))
		version.SomeText("value", v.Value)
		return version.Bytes()
	})
}

// readReceived reads what head wrote, once for every record: without a
// general decoder. A member that it does not know is passed over, one of the
// wrong kind is an error.
func readReceived(head []byte) (r Received, err error) {
	text := string(head) // once: what is read shares it
	all := gjson.Parse(text)
	if !gjson.Valid(text) || !all.IsObject() {
		return r, errForm
	}
	ok := true
	word := func(into *string, v gjson.Result) { *into, ok = v.String(), ok && v.Type == gjson.String }
	all.ForEach(func(name, v gjson.Result) bool {
		switch name.String() {
		case "source":
			word(&r.Source, v)
		case "event":
			word(&r.Event, v)
		case "version":
			if ok = v.IsObject(); ok {
				v.ForEach(func(name, v gjson.Result) bool {
					switch name.String() {
					case "scale":
						word((*string)(&r.Version.Scale), v)
					case "value":
						word(&r.Version.Value, v)
					}
					return ok
				})
			}
		case "partial":
			r.Partial, ok = v.Bool(), v.IsBool()
		case "deleted":
			r.Deleted, ok = v.Bool(), v.IsBool()
		case "accepted_at":
			var at string
			if word(&at, v); ok {
				r.AcceptedAt, err = time.Parse(time.RFC3339Nano, at)
				ok = err == nil
			}
		}
		return ok
	})
	if !ok {
		return Received{}, errForm
	}
	return r, nil
}

// keyed writes the sealed part of a record: the vendor's key, and the vendor's
// bytes as they are.
func keyed(b []byte, key string, body json.RawMessage) ([]byte, error) {
	o := appendjson.Into(b)
	o.Text("key", key)
	o.SomeRaw("body", body)
	return o.Bytes()
}

// openKeyed takes apart what keyed wrote. The body is a piece of plain:
// it may be large, and nobody changes it.
func openKeyed(plain []byte) (key string, body json.RawMessage, err error) {
	if rest, ok := bytes.CutPrefix(plain, []byte(`{"key":"`)); ok { // as nearly all are
		name, rest, _ := bytes.Cut(rest, []byte(`","body":`))
		body, whole := bytes.CutSuffix(rest, []byte("}"))
		body = bytes.TrimSpace(body)
		if whole && !bytes.ContainsFunc(name, escaped) && gjson.ValidBytes(body) {
			return string(name), body[:len(body):len(body)], nil
		}
	}
	var sealed struct {
		Key  string          `json:"key"`
		Body json.RawMessage `json:"body"`
	}
	if err := json.Unmarshal(plain, &sealed); err != nil {
		return "", nil, errForm // the decoder's own may quote a value
	}
	return sealed.Key, sealed.Body, nil
}

// escaped tells whether a text with r stands otherwise in JSON, or may.
func escaped(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }
