package mapping

import (
	"strings"
	"sync"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

// lands is what is known of countries: codes of ISO 3166-1 alpha-2 and their
// English names, from the tables of golang.org/x/text.
type lands struct {
	name   map[string]string // PL → Poland
	alpha3 map[string]string // PL → POL
	code   map[string]string // poland, pol, pl → PL
}

var countries = sync.OnceValue(func() lands {
	l := lands{map[string]string{}, map[string]string{}, map[string]string{
		"usa": "US", "united states of america": "US", "u.s.a.": "US", "uk": "GB", "great britain": "GB", "england": "GB",
		"scotland": "GB", "wales": "GB", "northern ireland": "GB", "czech republic": "CZ", "russian federation": "RU",
		"republic of ireland": "IE", "korea, republic of": "KR", "republic of korea": "KR", "viet nam": "VN", "turkey": "TR",
		"holland": "NL", "the netherlands": "NL", "macedonia": "MK", "ivory coast": "CI", "hong kong": "HK", "macau": "MO",
		"taiwan": "TW", "myanmar": "MM", "burma": "MM", "swaziland": "SZ", "cape verde": "CV",
	}}
	names := display.English.Regions()
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			code := string([]rune{a, b})
			r, err := language.ParseRegion(code)
			if err != nil || !r.IsCountry() || r.String() != code {
				continue
			}
			l.name[code], l.alpha3[code] = names.Name(r), r.ISO3()
			for _, w := range []string{code, l.alpha3[code], l.name[code]} {
				if w = strings.ToLower(w); l.code[w] == "" {
					l.code[w] = code
				}
			}
		}
	}
	return l
})

func validCountry(s string) bool { return capitals(s, 2) && countries().name[s] != "" }

// phone is a number in E.164 when it parses with the default region ("ZZ" for
// none), else as given; and its extension.
func phone(s, region string) (number, extension string) {
	n, err := phonenumbers.Parse(s, region)
	if err != nil || !phonenumbers.IsPossibleNumber(n) {
		return s, ""
	}
	return phonenumbers.Format(n, phonenumbers.E164), n.GetExtension()
}

func knownRegion(region string) bool { return phonenumbers.GetSupportedRegions()[region] }
