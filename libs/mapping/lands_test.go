package mapping

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

// iso are the 249 officially assigned codes of ISO 3166-1 alpha-2.
const iso = `
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY
BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK
FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR
IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK
ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM
PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF
TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
`

// TestCountriesAreThoseOfToday: each current country is found by its code, its
// three letters and its English name, and nothing else is a country. Germany
// once came out as DD.
func TestCountriesAreThoseOfToday(t *testing.T) {
	want := append(strings.Fields(iso), "XK")
	slices.Sort(want)
	l := countries()
	if got := slices.Sorted(maps.Keys(l.name)); !slices.Equal(got, want) {
		t.Errorf("countries are\n%v, want\n%v", got, want)
	}
	for _, code := range want {
		r := language.MustParseRegion(code)
		for _, said := range []string{code, r.ISO3(), display.English.Regions().Name(r)} {
			if got := l.code[strings.ToLower(said)]; got != code {
				t.Errorf("%s is %s, want %s", said, got, code)
			}
		}
		if !validCountry(code) {
			t.Errorf("%s is refused", code)
		}
	}
	for said, code := range l.code {
		if !slices.Contains(want, code) {
			t.Errorf("%s is %s, which is no country", said, code)
		}
	}
	for said, code := range map[string]string{
		"germany": "DE", "france": "FR", "vietnam": "VN", "united kingdom": "GB", "yemen": "YE", "zimbabwe": "ZW", "panama": "PA",
		"uk": "GB", "usa": "US", "benin": "BJ", "burkina faso": "BF", "deu": "DE",
	} {
		if got := l.code[said]; got != code {
			t.Errorf("%s is %s, want %s", said, got, code)
		}
	}
	for _, ended := range []string{"DD", "SU", "YU", "CS", "AN", "UK", "ZR", "EU"} {
		if validCountry(ended) {
			t.Errorf("%s is taken as a country", ended)
		}
	}
}
