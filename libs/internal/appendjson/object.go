package appendjson

import (
	"strconv"
	"time"
)

// Object is a JSON object that is written member by member. Names are ours:
// nothing in them needs an escape. A method with Some leaves an empty value
// out, as `omitempty` does.
type Object struct {
	out []byte
	err error
}

// NewObject begins an object; size is about how many bytes it will take.
func NewObject(size int) Object { return Into(make([]byte, 0, size)) }

// Into begins an object behind what b holds.
func Into(b []byte) Object { return Object{out: append(b, '{')} }

// Bytes ends the object and gives all that was appended to.
func (o *Object) Bytes() ([]byte, error) {
	if o.err != nil {
		return nil, o.err
	}
	return append(o.out, '}'), nil
}

func (o *Object) name(name string) {
	if o.out[len(o.out)-1] != '{' {
		o.out = append(o.out, ',')
	}
	o.out = append(append(append(o.out, '"'), name...), '"', ':')
}

// Text writes a string.
func (o *Object) Text(name, s string) {
	o.name(name)
	o.out = Text(o.out, s)
}

// SomeText writes a string unless it is "".
func (o *Object) SomeText(name, s string) {
	if s != "" {
		o.Text(name, s)
	}
}

// Texts writes a list of strings; nil is null.
func (o *Object) Texts(name string, all []string) {
	o.Add(name, func(b []byte) ([]byte, error) { return List(b, all, text) })
}

// SomeTexts writes a list of strings unless it is empty.
func (o *Object) SomeTexts(name string, all []string) {
	if len(all) > 0 {
		o.Texts(name, all)
	}
}

// Uint writes a number.
func (o *Object) Uint(name string, n uint64) {
	o.name(name)
	o.out = strconv.AppendUint(o.out, n, 10)
}

// Int writes a number.
func (o *Object) Int(name string, n int64) {
	o.name(name)
	o.out = strconv.AppendInt(o.out, n, 10)
}

// SomeInt writes a number unless it is 0.
func (o *Object) SomeInt(name string, n int64) {
	if n != 0 {
		o.Int(name, n)
	}
}

// True writes a truth, and nothing if it is none.
func (o *Object) True(name string, is bool) {
	if is {
		o.name(name)
		o.out = append(o.out, "true"...)
	}
}

// Time writes a time.
func (o *Object) Time(name string, t time.Time) {
	o.Add(name, func(b []byte) ([]byte, error) { return Time(b, t) })
}

// SomeTime writes a time unless it is the zero time.
func (o *Object) SomeTime(name string, t time.Time) {
	if !t.IsZero() {
		o.Time(name, t)
	}
}

// SomeTextMap writes a map of strings unless it is empty.
func (o *Object) SomeTextMap(name string, m map[string]string) {
	if len(m) > 0 {
		o.Add(name, func(b []byte) ([]byte, error) { return Map(b, m, text) })
	}
}

func text(b []byte, s string) ([]byte, error) { return Text(b, s), nil }

// SomeRaw writes a value that is JSON already, as it is: nothing in it is
// compacted or escaped. A nil one is left out.
func (o *Object) SomeRaw(name string, v []byte) {
	if v != nil {
		o.name(name)
		o.out = append(o.out, v...)
	}
}

// Value writes any value.
func (o *Object) Value(name string, v any) {
	o.Add(name, func(b []byte) ([]byte, error) { return Value(b, v) })
}

// Add writes what add appends, which is one JSON value.
func (o *Object) Add(name string, add func([]byte) ([]byte, error)) {
	o.name(name)
	b, err := add(o.out)
	if err != nil {
		if o.err == nil {
			o.err = err
		}
		return
	}
	o.out = b
}
