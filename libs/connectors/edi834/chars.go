package edi834

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// The character sets of X12 besides letters and digits.
const (
	basicMarks    = " !\"&'()*+,-./:;?="
	extendedMarks = "%@[]_{}\\|<>#$"
)

// letters that do not come apart into a base letter and a mark, and marks of
// print that have a plain one.
var letters = map[rune]string{
	'ß': "ss", 'ẞ': "SS", 'æ': "ae", 'Æ': "AE", 'œ': "oe", 'Œ': "OE", 'ø': "o", 'Ø': "O",
	'ł': "l", 'Ł': "L", 'đ': "d", 'Đ': "D", 'ð': "d", 'Ð': "D", 'þ': "th", 'Þ': "Th",
	'ħ': "h", 'Ħ': "H", 'ı': "i", 'ŋ': "n", 'Ŋ': "N", 'ŧ': "t", 'Ŧ': "T", 'ə': "e", 'Ə': "E",
	'’': "'", '‘': "'", 'ʼ': "'", 'ʻ': "'", '`': "'", '´': "'", '“': "\"", '”': "\"",
	'º': "o", 'ª': "a", '½': " 1/2", '¼': " 1/4", '¾': " 3/4",
	'‐': "-", '‑': "-", '–': "-", '—': "-", '−': "-",
}

// errScript says that a letter has no counterpart: the text is not shortened
// silently.
var errScript = errors.New("a letter of another script")

// clean writes a text in the agreed characters: accents go, apostrophe and
// hyphen stay, separators and what is in no set become blanks, and blanks are
// single and never at an end.
func (p *profile) clean(s string) (string, error) {
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range norm.NFD.String(s) {
		switch plain, known := letters[r]; {
		case known:
			b.WriteString(plain)
		case r < utf8.RuneSelf:
			b.WriteRune(r)
		case unicode.Is(unicode.Mn, r):
		case unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r) || r == utf8.RuneError:
			return "", errScript
		default:
			b.WriteByte(' ')
		}
	}
	text := b.String()
	if p.upper {
		text = strings.ToUpper(text)
	}
	separators := string([]byte{p.sep.Element, p.sep.Component, p.sep.Repetition, p.sep.Segment})
	text = strings.Map(func(r rune) rune {
		if strings.ContainsRune(separators, r) || !p.agreed(r) {
			return ' '
		}
		return r
	}, text)
	return strings.Join(strings.Fields(text), " "), nil
}

// agreed tells whether a character is of the agreed set.
func (p *profile) agreed(r rune) bool {
	switch {
	case r >= utf8.RuneSelf:
		return false
	case r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(basicMarks, r):
		return true
	case p.basic:
		return false
	}
	return r >= 'a' && r <= 'z' || strings.ContainsRune(extendedMarks, r)
}
