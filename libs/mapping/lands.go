package mapping

import (
	"slices"
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

// notCountries are in the tables, and are no current codes of ISO 3166-1:
// exceptional reservations for parts of a country or for unions (AC CP CQ DG EA
// EZ IC TA UN), and countries that ended without one successor (AN CS FQ NT PC
// SU YU). Kosovo's XK, which ISO leaves to its users for good, is taken.
var notCountries = strings.Fields("AC AN CP CQ CS DG EA EZ FQ IC NT PC SU TA UN YU")

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
			if err != nil || !r.IsCountry() || r.String() != code || r.Canonicalize() != r || slices.Contains(notCountries, code) {
				continue // unassigned, withdrawn with a successor (DD, which is also called Germany), or one of the few
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
