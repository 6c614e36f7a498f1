package event

import (
	"fmt"
	"strings"

	ce "github.com/cloudevents/sdk-go/v2/event"
)

const prefix = "ce-"

// Header writes an event's attributes and extensions as NATS headers. Names
// are lower case; values are percent-encoded (space, double quote, percent and
// everything outside printable ASCII).
func Header(e Event) map[string][]string {
	h := make(map[string][]string, 8)
	required := [...]string{e.SpecVersion(), e.ID(), sourceOf(e), e.Type()}
	values := required[:] // one array for all four
	for i, name := range [...]string{prefix + "specversion", prefix + "id", prefix + "source", prefix + "type"} {
		if values[i] != "" {
			values[i] = encode(values[i])
			h[name] = values[i : i+1 : i+1]
		}
	}
	set := func(name, value string) {
		if value != "" {
			h[prefix+name] = []string{encode(value)}
		}
	}
	set("subject", e.Subject())
	set("dataschema", e.DataSchema())
	set("datacontenttype", e.DataContentType())
	if t := e.Time(); !t.IsZero() {
		set("time", t.UTC().Format("2006-01-02T15:04:05.999999999Z"))
	}
	for name, v := range e.Extensions() {
		if s, ok := v.(string); ok {
			set(name, s)
		} else {
			set(name, fmt.Sprint(v))
		}
	}
	return h
}

// Read turns headers and body back into an event and validates it against the
// specification. Header names are compared without case. A message in
// structured mode, one without `ce-specversion` and one with a malformed
// escape are refused.
func Read(h map[string][]string, data []byte) (Event, error) {
	e := ce.New(ce.CloudEventsVersionV1)
	seen := false
	for name, values := range h {
		if len(values) == 0 {
			continue
		}
		if strings.EqualFold(name, "content-type") && strings.HasPrefix(strings.ToLower(values[0]), "application/cloudevents") {
			return Event{}, fmt.Errorf("a CloudEvent in structured mode: this bus carries binary mode")
		}
		if len(name) <= len(prefix) || !strings.EqualFold(name[:len(prefix)], prefix) {
			continue
		}
		v, err := decode(values[0])
		if err != nil {
			return Event{}, fmt.Errorf("header %s: %w", strings.ToLower(name), err)
		}
		switch attr := strings.ToLower(name[len(prefix):]); attr {
		case "specversion":
			if v != ce.CloudEventsVersionV1 {
				return Event{}, fmt.Errorf("header ce-specversion: want 1.0")
			}
			seen = true
		case "id":
			e.SetID(v)
		case "source":
			setSource(&e, v)
		case "type":
			e.SetType(v)
		case "subject":
			e.SetSubject(v)
		case "dataschema":
			e.SetDataSchema(v)
		case "datacontenttype":
			e.SetDataContentType(v)
		case "time":
			if err := setTime(&e, v); err != nil {
				return Event{}, err
			}
		default:
			if v != "" { // Header writes none without a value either
				e.SetExtension(attr, v)
			}
		}
	}
	if !seen {
		return Event{}, fmt.Errorf("not a CloudEvent: header ce-specversion is missing")
	}
	e.DataEncoded = data
	if valid(e) {
		return e, nil
	}
	if err := e.Validate(); err != nil {
		return Event{}, fmt.Errorf("not a valid CloudEvent: %w", err)
	}
	return e, nil
}

func encode(v string) string {
	clean := true
	for i := 0; i < len(v); i++ {
		if escaped(v[i]) {
			clean = false
			break
		}
	}
	if clean {
		return v
	}
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(v); i++ {
		if c := v[i]; escaped(c) {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func escaped(c byte) bool { return c <= ' ' || c >= 0x7f || c == '"' || c == '%' }

func decode(v string) (string, error) {
	if strings.IndexByte(v, '%') < 0 {
		return v, nil
	}
	var b strings.Builder
	for i := 0; i < len(v); i++ {
		if v[i] != '%' {
			b.WriteByte(v[i])
			continue
		}
		if i+2 >= len(v) {
			return "", fmt.Errorf("a percent sign without two hex digits")
		}
		hi, lo := unhex(v[i+1]), unhex(v[i+2])
		if hi < 0 || lo < 0 {
			return "", fmt.Errorf("a percent sign without two hex digits")
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	return b.String(), nil
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
