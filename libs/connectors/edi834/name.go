package edi834

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// pattern makes names of files and references of sets.
type pattern struct {
	text   string
	unique bool // the file's number is in it
}

var placeholder = regexp.MustCompile(`\{[^}]*\}?`)

func parsePattern(setting, text string) (pattern, error) {
	p := pattern{text: text}
	for _, word := range placeholder.FindAllString(text, -1) {
		switch word {
		case "{sequence}", "{control}":
			p.unique = true
		case "{yyyymmdd}", "{hhmmss}":
		case "{set}":
			if setting == "name" {
				return p, fmt.Errorf("%s: a file may hold several sets, so {set} says nothing there", setting)
			}
		default:
			return p, fmt.Errorf("%s: there are {sequence}, {control}, {yyyymmdd}, {hhmmss} and, in reference, {set}", setting)
		}
	}
	if strings.ContainsAny(text, "/\\\r\n") {
		return p, fmt.Errorf("%s: write a name without a folder", setting)
	}
	return p, nil
}

// fill makes the name of number n, built at a time, for a set.
func (p pattern) fill(n int64, at time.Time, set int) string {
	return strings.NewReplacer(
		"{sequence}", strconv.FormatInt(n, 10), "{control}", fmt.Sprintf("%09d", n),
		"{yyyymmdd}", at.Format("20060102"), "{hhmmss}", at.Format("150405"), "{set}", fmt.Sprintf("%04d", set),
	).Replace(p.text)
}
