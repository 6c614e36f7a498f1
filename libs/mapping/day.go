package mapping

import (
	"strconv"
	"strings"
	"time"
)

// validDay tells whether s is a calendar day, YYYY-MM-DD.
func validDay(s string) bool {
	if len(s) != 10 || s[4] != '-' || s[7] != '-' {
		return false
	}
	y, m, d := number(s[:4]), number(s[5:7]), number(s[8:])
	if y < 1 || m < 1 || m > 12 || d < 1 {
		return false
	}
	return d <= time.Date(y, time.Month(m)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// number is a text of digits, -1 if it is none.
func number(s string) int {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return -1
		}
		n = n*10 + int(s[i]-'0')
	}
	return n
}

// Layouts by word, besides those of package time.
const (
	layoutISO    = "iso"     // a day, or an instant of which the day as written is meant
	layoutUnix   = "unix"    // seconds since 1970
	layoutUnixMS = "unix_ms" // milliseconds since 1970
)

// checkLayout tells why a layout cannot hold a day, "" if it can. It writes a
// day with the layout and reads it back.
func checkLayout(layout string) string {
	switch layout {
	case layoutISO, layoutUnix, layoutUnixMS:
		return ""
	}
	probe := time.Date(2019, 11, 23, 0, 0, 0, 0, time.UTC)
	back, err := time.Parse(layout, probe.Format(layout))
	if err == nil && back.Format(time.DateOnly) == probe.Format(time.DateOnly) {
		return ""
	}
	fixed := strings.NewReplacer("YYYY", "2006", "yyyy", "2006", "MM", "01", "DD", "02", "dd", "02", "HH", "15", "mm", "04", "ss", "05",
		"%Y", "2006", "%m", "01", "%d", "02").Replace(layout)
	if fixed != layout && checkLayout(fixed) == "" {
		return "write " + strconv.Quote(fixed)
	}
	return `write how 2 January 2006 looks, e.g. "2006-01-02", "01/02/2006" or "02.01.2006"`
}

// readTime reads s by the first layout that fits. The result keeps the offset
// as written, so that its day is the one that was written.
func readTime(s string, layouts []string) (time.Time, bool) {
	for _, l := range layouts {
		switch l {
		case layoutISO:
			if len(s) >= 10 && validDay(s[:10]) {
				if t, err := time.Parse(time.RFC3339, s); err == nil {
					return t, true
				}
				if len(s) == 10 || s[10] == 'T' || s[10] == ' ' {
					t, err := time.Parse(time.DateOnly, s[:10])
					return t, err == nil
				}
			}
		case layoutUnix, layoutUnixMS:
			n, err := strconv.ParseInt(s, 10, 64)
			if err != nil || n > 1<<53 || n < -1<<53 {
				continue
			}
			t := time.UnixMilli(n)
			if l == layoutUnix {
				t = time.Unix(n, 0)
			}
			if y := t.UTC().Year(); y > 0 && y < 10000 {
				return t.UTC(), true
			}
		default:
			if t, err := time.Parse(l, s); err == nil && t.Year() > 0 {
				return t, true
			}
		}
	}
	return time.Time{}, false
}
