package fake

import (
	"bytes"
	stdcsv "encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"golang.org/x/text/encoding/charmap"
)

// content makes the name and the bytes of a file that is dropped.
func (v *server) content(args map[string]any) (string, []byte, error) {
	name, _ := args["name"].(string)
	if name == "" {
		name = v.nextName()
	}
	name = at(path.Join(v.o.Settings["folder"], name))
	if path.Base(name) == "/" {
		return "", nil, errors.New("name: there is none")
	}
	text, plain := args["text"].(string)
	if !plain {
		var err error
		if text, err = v.table(args); err != nil {
			return "", nil, err
		}
	}
	encoding, _ := args["encoding"].(string)
	data, err := encode(text, encoding)
	return name, data, err
}

// nextName fills the account's pattern.
func (v *server) nextName() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.next++
	now := v.o.Time()
	pattern := v.o.Settings["name"]
	if pattern == "" {
		pattern = "*.csv"
	}
	return strings.NewReplacer("{sequence}", fmt.Sprintf("%06d", v.next), "{date}", now.Format("20060102"),
		"{time}", now.Format("20060102T150405Z"), "*", strconv.FormatUint(v.next, 10)).Replace(pattern)
}

// table writes rows as RFC 4180 says.
func (v *server) table(args map[string]any) (string, error) {
	var in struct {
		Columns   []string         `json:"columns"`
		Rows      []map[string]any `json:"rows"`
		Delimiter string           `json:"delimiter"`
	}
	raw, err := json.Marshal(args)
	if err == nil {
		err = json.Unmarshal(raw, &in)
	}
	if err != nil || in.Rows == nil {
		return "", errors.New("write text, or rows as a list of objects, with columns as a list of names")
	}
	if len(in.Columns) == 0 {
		all := map[string]bool{}
		for _, r := range in.Rows {
			for c := range r {
				all[c] = true
			}
		}
		in.Columns = slices.Sorted(maps.Keys(all))
	}
	var b bytes.Buffer
	w := stdcsv.NewWriter(&b)
	w.UseCRLF = true
	for name, r := range map[string]rune{"semicolon": ';', "tab": '\t', "pipe": '|'} {
		if in.Delimiter == name || in.Delimiter == "" && v.o.Settings["delimiter"] == name {
			w.Comma = r
		}
	}
	lines := [][]string{in.Columns}
	for _, r := range in.Rows {
		line := make([]string, len(in.Columns))
		for i, c := range in.Columns {
			if r[c] != nil {
				line[i] = fmt.Sprint(r[c])
			}
		}
		lines = append(lines, line)
	}
	err = w.WriteAll(lines)
	return b.String(), err
}

func encode(text, encoding string) ([]byte, error) {
	switch encoding {
	case "", "utf-8":
		return []byte(text), nil
	case "utf-8-bom":
		return append([]byte("\xef\xbb\xbf"), text...), nil
	case "windows-1252":
		return charmap.Windows1252.NewEncoder().Bytes([]byte(text))
	case "utf-16le":
		out := []byte{0xff, 0xfe}
		for _, u := range utf16.Encode([]rune(text)) {
			out = append(out, byte(u), byte(u>>8))
		}
		return out, nil
	}
	return nil, errors.New("encoding: write utf-8, utf-8-bom, windows-1252 or utf-16le")
}
