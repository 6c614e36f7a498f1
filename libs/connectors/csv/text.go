package csv

import (
	"bytes"
	"encoding/binary"
	"slices"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// refusal is why a whole file is not taken: a word that can be counted, and
// where, if it is one place.
type refusal struct{ reason, path string }

// Error is the reason.
func (r refusal) Error() string { return "the file is refused: " + r.reason }

// What a file begins with that is no text at all, or text in an envelope.
var disguises = []struct {
	begins []byte
	reason string
}{
	{[]byte("PK\x03\x04"), "spreadsheet"},       // xlsx is a zip
	{[]byte("\xd0\xcf\x11\xe0"), "spreadsheet"}, // xls
	{[]byte("\x1f\x8b"), "compressed"},
	{[]byte("-----BEGIN PGP"), "encrypted"},
	{[]byte("\x00\x00\xfe\xff"), "encoding"},
	{[]byte("\xfe\xff"), "encoding"}, // UTF-16, the other way round
}

var (
	mark8  = []byte("\xef\xbb\xbf")
	mark16 = []byte("\xff\xfe")
)

// undefined tells of the bytes that Windows-1252 has no character for.
func undefined(b byte) bool {
	return b == 0x81 || b == 0x8d || b == 0x8f || b == 0x90 || b == 0x9d
}

// decode gives the text of a file in UTF-8 without a byte order mark and with
// line feeds where it only had carriage returns. It guesses nothing: what is
// not of the encoding that was agreed refuses the file.
func decode(raw []byte, encoding string) ([]byte, error) {
	if len(raw) == 0 {
		return nil, refusal{reason: "empty"}
	}
	for _, d := range disguises {
		if bytes.HasPrefix(raw, d.begins) {
			return nil, refusal{reason: d.reason}
		}
	}
	wrong := refusal{reason: "encoding"}
	var out []byte
	switch encoding {
	case "utf-16le":
		if len(raw)%2 != 0 || bytes.HasPrefix(raw, mark8) {
			return nil, wrong
		}
		raw = bytes.TrimPrefix(raw, mark16)
		out = make([]byte, 0, len(raw))
		for i := 0; i < len(raw); i += 2 {
			r := rune(binary.LittleEndian.Uint16(raw[i:]))
			if utf16.IsSurrogate(r) {
				if i+4 > len(raw) {
					return nil, wrong
				}
				if r = utf16.DecodeRune(r, rune(binary.LittleEndian.Uint16(raw[i+2:]))); r == utf8.RuneError {
					return nil, wrong
				}
				i += 2
			}
			out = utf8.AppendRune(out, r)
		}
	case "windows-1252":
		if bytes.HasPrefix(raw, mark8) || bytes.HasPrefix(raw, mark16) || slices.ContainsFunc(raw, undefined) {
			return nil, wrong
		}
		var err error
		if out, err = charmap.Windows1252.NewDecoder().Bytes(raw); err != nil {
			return nil, wrong
		}
	default:
		out = bytes.TrimPrefix(raw, mark8)
		if !utf8.Valid(out) {
			return nil, wrong
		}
	}
	if bytes.IndexByte(out, 0) >= 0 { // of no text; most often UTF-16 that nobody said
		return nil, wrong
	}
	if bytes.IndexByte(out, '\n') < 0 && bytes.IndexByte(out, '\r') >= 0 {
		out = bytes.ReplaceAll(out, []byte{'\r'}, []byte{'\n'})
	}
	return out, nil
}

// before gives the bytes of a file in front of its last line: what the hash of
// a trailer is of.
func before(raw []byte, encoding string) []byte {
	if encoding == "utf-16le" {
		end := len(raw) &^ 1
		at := func(i int) uint16 { return binary.LittleEndian.Uint16(raw[i:]) }
		for end >= 2 && (at(end-2) == '\n' || at(end-2) == '\r') {
			end -= 2
		}
		for ; end >= 2; end -= 2 {
			if c := at(end - 2); c == '\n' || c == '\r' {
				break
			}
		}
		return raw[:end]
	}
	return raw[:1+bytes.LastIndexAny(bytes.TrimRight(raw, "\r\n"), "\r\n")]
}
