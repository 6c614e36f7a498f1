package mapping

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
)

// decodeStd is decode by encoding/json.
func decodeStd(body []byte) (any, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return map[string]any{}, nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows")
	}
	return v, nil
}

var odd = []string{
	``, ` `, "\u00a0", `null`, `true`, `tru`, `truex`, `false`, `0`, `-0`, `01`, `-`, `+1`, `.5`, `1.`, `1.5`, `1e5`, `1E+05`, `1e`, `1e-`, `12345678901234567890123456789.000100`,
	`1e400`, `"a"`, `"`, `"\"`, `"\u00e9\n\/"`, `"\u12"`, `"\u12g4"`, `"\x"`, `"\ud800"`, `"\ud83d\ude00"`, "\"\xff\xc3\"", "\"a\nb\"", "\"\u2028\x7f\"",
	`{}`, `{ }`, `{"a":1}`, `{"a":1,}`, `{"a" 1}`, `{"a":}`, `{a:1}`, `{"a":1 "b":2}`, `{"a":1}}`, `{"a":1} x`, `{"a":1,"a":{"b":2},"\u0061":[3]}`, `{"":1}`, "{\"\xff\":1}",
	`{"a":{"b":1},"a":{"c":2}}`, `{"a":[{"b":1,"c":2},{"b":3}],"c":"x"}`, `[]`, `[ ]`, `[1,]`, `[,1]`, `[1 2]`, `[1,[2,{"a":[null]}]]`, `{`, `[`, "\ufeff{}", "{}\x00", "\t\r\n{}\f",
	strings.Repeat("[", 200) + "1" + strings.Repeat("]", 200), strings.Repeat("[", 201) + strings.Repeat("]", 201),
}

func checkDecode(t *testing.T, body []byte) {
	t.Helper()
	want, wantErr := decodeStd(body)
	got, err := decode(body)
	if errors.Is(err, errDeep) {
		return
	}
	if (err != nil) != (wantErr != nil) || !reflect.DeepEqual(got, want) {
		t.Errorf("%q is %#v (%v), want %#v (%v)", body, got, err, want, wantErr)
	}
}

func TestDecode(t *testing.T) {
	for _, body := range odd {
		checkDecode(t, []byte(body))
	}
	for n, want := range map[int]error{200: nil, 201: errDeep} {
		body := `{"a":` + strings.Repeat("[", n-1) + "1" + strings.Repeat("]", n-1) + "}"
		if _, err := decode([]byte(body)); !errors.Is(err, want) {
			t.Errorf("%d deep: %v", n, err)
		}
	}
}

// TestBracketsInTexts do not count as depth, whatever escapes stand around them.
func TestBracketsInTexts(t *testing.T) {
	for _, text := range []string{strings.Repeat("[{", 300), strings.Repeat(`\"[`, 300), strings.Repeat(`[\\`, 300)} {
		checkDecode(t, []byte(`{"a":"`+text+`","b":[1]}`))
		if _, err := decode([]byte(`{"a":"` + text + `"}`)); err != nil {
			t.Errorf("%.12s…: %v", text, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, body := range odd {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) { checkDecode(t, body) })
}
