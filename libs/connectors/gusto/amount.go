package gusto

import (
	"math/big"
	"regexp"
	"strings"
)

var decimalForm = regexp.MustCompile(`^-?[0-9]{1,15}(\.[0-9]{1,10})?$`)

// equalAmount compares decimal texts by value: Gusto pads to two places.
func equalAmount(a, b string) bool {
	if a == b {
		return true
	}
	if !decimalForm.MatchString(a) || !decimalForm.MatchString(b) {
		return false
	}
	x, _ := new(big.Rat).SetString(a)
	y, _ := new(big.Rat).SetString(b)
	return x != nil && y != nil && x.Cmp(y) == 0
}

// padded has two places at least; nothing is rounded.
func padded(s string) string {
	whole, places, _ := strings.Cut(s, ".")
	return whole + "." + places + strings.Repeat("0", max(0, 2-len(places)))
}
