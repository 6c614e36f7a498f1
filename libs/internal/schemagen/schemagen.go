// Package schemagen makes the files of module schemas from the Go types that
// are really written: the canonical person and the clear heads of messages.
package schemagen

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/schemas"
)

type object = map[string]any

// Files makes every schema, by file name.
func Files() map[string][]byte {
	out := map[string][]byte{schemas.Person + ".json": file(schemas.Person, "The canonical person. Absent is not said, null is cleared.", person())}
	for _, typ := range []string{
		event.EmployeePreboardedV1, event.EmployeeHiredV1, event.EmployeeUpdatedV1, event.EmployeeRehiredV1,
		event.EmployeeTerminatedV1, event.EmployeeLeaveStartedV1, event.EmployeeLeaveEndedV1, event.EmployeeWithdrawnV1,
	} {
		out[typ+".json"] = file(typ, "A change of an employee as a downstream team receives it: minimised, in clear.", change())
	}
	for typ, head := range map[string]any{
		event.RecordReceivedV1:         record.Received{},
		event.RecordLinkedV1:           record.Linked{},
		event.RecordHintedV1:           record.Hint{},
		event.RecordStatedV1:           record.Statement{},
		event.RecordRejectedV1:         record.DeadLetter{},
		event.SurveyResponseReceivedV1: record.Answered{},
		event.ReadBegunV1:              record.Read{},
		event.ReadPagedV1:              record.Read{},
		event.ReadEndedV1:              record.Read{},
		event.DeliveryRejectedV1:       record.DeadLetter{},
		event.DeliveryIntendedV1:       record.Delivery{},
		event.DeliveryCompletedV1:      record.Delivery{},
		event.DeliveryFiledV1:          record.File{},
	} {
		out[typ+".json"] = file(typ, "The clear head; what is personal is sealed beside it.", structure(reflect.TypeOf(head)))
	}
	return out
}

func file(name, what string, s object) []byte {
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["$id"] = schemas.Base + name + ".json"
	s["title"], s["description"] = name, what
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(s); err != nil {
		panic(err) // maps and texts always encode
	}
	return b.Bytes()
}

// change is the data of a team's event, see the project's public surface.
func change() object {
	return object{
		"type": "object", "additionalProperties": false, "required": []string{"id", "version", "changed", "employee"},
		"properties": object{
			"id": object{"type": "string"}, "version": object{"type": "integer", "minimum": 1},
			"effective": object{"type": []string{"string", "null"}, "format": "date"},
			"changed":   object{"type": "array", "items": object{"type": "string"}},
			"employee":  object{"$ref": schemas.Base + schemas.Person + ".json"},
		},
	}
}

// person follows the tags of employee.Person.
func person() object { return described(reflect.TypeFor[employee.Person](), "") }

func described(t reflect.Type, at string) object {
	properties := object{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		path := strings.TrimPrefix(at+"."+name, ".")
		properties[name] = field(f, path)
	}
	return object{"type": "object", "additionalProperties": false, "properties": properties}
}

func field(f reflect.StructField, path string) object {
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	s := object{}
	switch {
	case t.Kind() == reflect.Struct:
		s = described(t, path)
		s["type"] = []string{"object", "null"}
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		s = object{"type": []string{"array", "null"}, "items": described(t.Elem(), path+"[]")}
		path += "[]"
	case t.Kind() == reflect.Slice:
		s = object{"type": []string{"array", "null"}, "items": object{"type": "string"}}
	case f.Name == "External":
		s = object{"type": "object", "additionalProperties": object{"type": "array", "items": object{"type": "string"}}}
	case f.Name == "Custom" || t.Kind() == reflect.Map:
		s = object{"type": "object"}
	case t.Kind() == reflect.Bool:
		s["type"] = []string{"boolean", "null"}
	case t.Kind() == reflect.Interface:
		s["type"] = []string{"string", "object", "null"}
	default:
		s["type"] = []string{"string", "null"}
	}
	if e := f.Tag.Get("enum"); e != "" {
		words := []any{nil}
		for w := range strings.SplitSeq(e, ",") {
			words = append(words, w)
		}
		s["enum"] = words
	}
	switch f.Tag.Get("kind") {
	case "day":
		s["format"] = "date"
	case "instant":
		s["format"] = "date-time"
	case "country":
		s["pattern"] = "^[A-Z]{2}$"
	case "currency":
		s["pattern"] = "^[A-Z]{3}$"
	case "decimal":
		s["pattern"] = `^-?[0-9]+(\.[0-9]+)?$`
	}
	if known, ok := employee.Lookup(path); ok {
		s["x-class"] = string(known.Class)
	}
	return s
}

// structure is a plain schema of a message's head.
func structure(t reflect.Type) object {
	switch t {
	case reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case reflect.TypeFor[connector.Scale]():
		return object{"type": "string", "enum": []string{"sequence", "time", "read"}}
	}
	switch t.Kind() {
	case reflect.Struct:
		properties, required := object{}, []string{}
		for i := range t.NumField() {
			f := t.Field(i)
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "-" {
				continue
			}
			if f.Anonymous && name == "" { // its members stand among ours
				inner := structure(f.Type)
				maps.Copy(properties, inner["properties"].(object))
				required = append(required, inner["required"].([]string)...)
				continue
			}
			properties[name] = structure(f.Type)
			if !strings.Contains(options, "omit") {
				required = append(required, name)
			}
		}
		return object{"type": "object", "additionalProperties": false, "properties": properties, "required": required}
	case reflect.Pointer:
		return structure(t.Elem())
	case reflect.Slice:
		return object{"type": "array", "items": structure(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": structure(t.Elem())}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	default:
		return object{"type": "integer"}
	}
}
