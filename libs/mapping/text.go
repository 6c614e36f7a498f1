package mapping

import (
	"encoding/json"
	"math/big"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// clean is a text in Unicode NFC and trimmed, as canonical texts are.
func clean(s string) string {
	s = strings.TrimSpace(s)
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return strings.TrimSpace(norm.NFC.String(strings.ToValidUTF8(s, "\uFFFD")))
		}
	}
	return s
}

// letters that do not come apart into a base letter and a mark.
var letters = map[rune]string{
	'ß': "ss", 'ẞ': "SS", 'æ': "ae", 'Æ': "AE", 'œ': "oe", 'Œ': "OE", 'ø': "o", 'Ø': "O",
	'ł': "l", 'Ł': "L", 'đ': "d", 'Đ': "D", 'ð': "d", 'Ð': "D", 'þ': "th", 'Þ': "Th",
	'ħ': "h", 'Ħ': "H", 'ı': "i", 'ŋ': "n", 'Ŋ': "N", 'ŧ': "t", 'Ŧ': "T", 'ə': "e", 'Ə': "E",
	'’': "'", '‘': "'", 'ʼ': "'", '‐': "-", '‑': "-", '–': "-", '\u00a0': " ",
}

// ascii writes Latin text without diacritics and drops what is left of other
// scripts: Łukasz is Lukasz, Straße is Strasse.
func ascii(s string) string {
	plain := true
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range norm.NFD.String(s) {
		switch {
		case r < utf8.RuneSelf:
			b.WriteRune(r)
		default:
			b.WriteString(letters[r])
		}
	}
	return b.String()
}

// plainNumber is a JSON number without an exponent.
func plainNumber(n string) string {
	if !strings.ContainsAny(n, "eE") {
		return n
	}
	if i := strings.IndexAny(n, "eE"); len(n)-i > 5 { // 1e99999 is no number of a person
		return n
	}
	r, ok := new(big.Rat).SetString(n)
	if !ok {
		return n
	}
	if r.IsInt() {
		return r.Num().String()
	}
	digits, exact := r.FloatPrec()
	if !exact {
		return n
	}
	return r.FloatString(digits)
}

// validDecimal tells whether s is decimal text: -12, 0.50.
func validDecimal(s string) bool {
	s = strings.TrimPrefix(s, "-")
	whole, frac, dot := strings.Cut(s, ".")
	return digits(whole) && (!dot || digits(frac))
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// decimalText reads an amount as people write it. The mark before the fraction
// is "." unless comma is set; the other one, blanks and apostrophes group
// digits, and only in threes.
func decimalText(s string, comma bool) (string, bool) {
	sign := ""
	if t, ok := strings.CutPrefix(s, "-"); ok {
		sign, s = "-", t
	}
	mark, group := ".", ","
	if comma {
		mark, group = ",", "."
	}
	whole, frac, dot := strings.Cut(s, mark)
	for _, g := range []string{group, " ", "\u00a0", "\u202f", "'", "’"} {
		parts := strings.Split(whole, g)
		if len(parts) == 1 {
			continue
		}
		for i, p := range parts {
			if i > 0 && len(p) != 3 || i == 0 && (p == "" || len(p) > 3) {
				return "", false
			}
		}
		whole = strings.Join(parts, "")
	}
	if !digits(whole) || dot && !digits(frac) {
		return "", false
	}
	if dot {
		return sign + whole + "." + frac, true
	}
	return sign + whole, true
}

// places pads a decimal text to n places. More digits than that stay: nothing
// is rounded.
func places(s string, n int) string {
	whole, frac, _ := strings.Cut(s, ".")
	for len(frac) > n && frac[len(frac)-1] == '0' {
		frac = frac[:len(frac)-1]
	}
	if len(frac) < n {
		frac += strings.Repeat("0", n-len(frac))
	}
	if frac == "" {
		return whole
	}
	return whole + "." + frac
}

// money parts `72000.00 EUR`, `EUR 72,000` or an object of amount and currency.
// A currency without an amount is no money: both are cleared.
func money(v any, comma bool) (amount, currency any, ok bool) {
	var a, c string
	switch t := v.(type) {
	case map[string]any:
		var x any
		for _, k := range []string{"amount", "value"} {
			if x == nil {
				x = t[k]
			}
		}
		for _, k := range []string{"currency", "unit", "currency_code"} {
			if s, isText := t[k].(string); isText && c == "" {
				c = clean(s)
			}
		}
		if a, ok = scalarText(x); !ok && x != nil {
			return nil, nil, false
		}
		a = clean(a)
	case string:
		a = t
		if f := strings.Fields(t); len(f) > 1 {
			if last := f[len(f)-1]; validCurrency(last) {
				a, c = strings.Join(f[:len(f)-1], " "), last
			} else if validCurrency(f[0]) {
				a, c = strings.Join(f[1:], " "), f[0]
			}
		} else if validCurrency(t) {
			return nil, nil, true
		}
	case json.Number:
		a = plainNumber(string(t))
	default:
		return nil, nil, false
	}
	if a == "" {
		return nil, nil, true
	}
	d, ok := decimalText(a, comma)
	if !ok || c != "" && !validCurrency(c) {
		return nil, nil, false
	}
	if c == "" {
		return d, nil, true
	}
	return d, c, true
}

// validCurrency tells whether s has the form of an ISO 4217 code.
func validCurrency(s string) bool { return capitals(s, 3) }

func capitals(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range n {
		if s[i] < 'A' || s[i] > 'Z' {
			return false
		}
	}
	return true
}

// splitName parts a full name: `Family, Given` at the comma, else the last word
// is the family name. One word alone is a given name.
func splitName(full, part string) string {
	family, given, comma := strings.Cut(full, ",")
	if !comma {
		given, family = full, ""
		if i := strings.LastIndexAny(full, " \t"); i > 0 {
			given, family = full[:i], full[i+1:]
		}
	}
	if part == "family" {
		return clean(family)
	}
	return clean(given)
}
