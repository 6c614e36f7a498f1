package edi834

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

// told are the segments of a change without the references that all have.
func told(t *testing.T, f *files, was, is map[string]any, effective string) []string {
	t.Helper()
	p, err := f.Piece(connector.Delivery{ID: "e1", Body: is, Before: was, Effective: effective})
	if err != nil {
		return []string{err.Error()}
	}
	if len(p.Content) == 0 {
		return nil
	}
	segments, err := segmentsOf(p)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, s := range segments {
		if text := strings.Join(s, "*"); !strings.HasPrefix(text, "REF*0F*E1") && !strings.HasPrefix(text, "REF*1L*448210-01") {
			out = append(out, text)
		}
	}
	return out
}

// TestChanges: what each change becomes, and what carriers' settings make of it.
func TestChanges(t *testing.T) {
	ada := tree(t, someone)
	spouse := []any{map[string]any{"id": "d1", "relationship": "spouse", "family": "Rossi", "given": "Leo", "ssn": "900123407", "birth_date": "1989-03-04", "gender": "male"}}
	ends := map[string]any{"status": "terminated", "employment.termination_date": "2026-05-08", "employment.termination_reason": "Retirement"}
	elections := func(all ...any) map[string]any { return map[string]any{"elections": all} }
	medical := func(kv ...any) map[string]any {
		return elected(append([]any{"coverage", "employee_spouse", "dependants", []any{"d1"}}, kv...)...)
	}
	dental := elected("plan", "dental-a", "kind", "dental")
	name, dmg := "NM1*IL*1*ROSSI*ADA****34*900123401", "DMG*D8*19900201*F*M"
	leo, leoDMG := "NM1*IL*1*ROSSI*LEO****34*900123402", "DMG*D8*19890304*M*M"
	for _, c := range []struct {
		what     string
		settings []any
		changes  map[string]any
		want     []string
	}{
		{"name", nil, map[string]any{"subscriber.family": "Bianchi"}, []string{
			"INS*Y*18*001*25*A***FT", "DTP*303*D8*20260508", "NM1*74*1*BIANCHI*ADA****34*900123401", "N3*1 MAIN ST", "N4*BOISE*ID*83702", dmg, "NM1*70*1*ROSSI*ADA****34*900123401"}},
		{"a spouse's number", nil, map[string]any{"dependants": spouse}, []string{
			"INS*Y*18*001*33*A***FT", "DTP*303*D8*20260508", name, dmg,
			"INS*N*01*001*25*A", "DTP*303*D8*20260508", "NM1*74*1*ROSSI*LEO****34*900123407", leoDMG, "NM1*70*1*ROSSI*LEO****34*900123402"}},
		{"birth date", nil, map[string]any{"subscriber.birth_date": "1990-02-02"}, []string{
			"INS*Y*18*001*25*A***FT", "DTP*303*D8*20260508", "NM1*74*1*ROSSI*ADA****34*900123401", "N3*1 MAIN ST", "N4*BOISE*ID*83702", "DMG*D8*19900202*F*M",
			"NM1*70*1*ROSSI*ADA****34*900123401", "DMG*D8*19900201*F"}},
		{"department", nil, map[string]any{"reporting.department": "Ops"}, []string{
			"INS*Y*18*001*33*A***FT", "REF*DX*OPS", "DTP*303*D8*20260508", name, "N3*1 MAIN ST", "N4*BOISE*ID*83702", dmg}},
		{"department, that nobody asked for", []any{"client_refs", nil}, map[string]any{"reporting.department": "Ops"}, nil},
		{"mailing address", nil, map[string]any{"mailing": map[string]any{"lines": []any{"PO Box 5"}, "city": "Toronto", "region": "CA-ON", "postal_code": "M5V 2T6", "country": "CA"}}, []string{
			"INS*Y*18*001*43*A***FT", "DTP*303*D8*20260508", name, "N3*1 MAIN ST", "N4*BOISE*ID*83702", dmg, "NM1*31*1", "N3*PO BOX 5", "N4*TORONTO*ON*M5V2T6*CA"}},
		{"tier without others", nil, elections(medical("coverage", "employee", "dependants", nil, "reason", "Divorce"), dental), []string{
			"INS*Y*18*001*01*A***FT", "DTP*303*D8*20260508", name, dmg, "HD*001**HLT*PPO-500*EMP", "DTP*303*D8*20260508", "DTP*348*D8*20260201",
			"INS*N*01*024*01*A", "DTP*357*D8*20260531", leo, leoDMG, "HD*024**HLT*PPO-500", "DTP*349*D8*20260531"}},
		{"tier, told by 348", []any{"change_date", "348", "tier_on_dependants", true}, elections(medical("coverage", "family"), dental), []string{
			"INS*Y*18*001*22*A***FT", "DTP*303*D8*20260508", name, dmg, "HD*001**HLT*PPO-500*FAM", "DTP*348*D8*20260508",
			"INS*N*01*001*22*A", "DTP*303*D8*20260508", leo, leoDMG, "HD*001**HLT*PPO-500*FAM", "DTP*348*D8*20260508"}},
		{"plan, replaced", []any{"plan_change", "replace"}, elections(medical("plan", "med-hdhp", "start", "2026-06-01"), dental), []string{
			"INS*Y*18*001*22*A***FT", "DTP*303*D8*20260508", name, dmg, "HD*024**HLT*PPO-500*ESP", "DTP*349*D8*20260531", "HD*021**HLT*HDHP-3000*ESP", "DTP*348*D8*20260601",
			"INS*N*01*001*22*A", "DTP*303*D8*20260508", leo, leoDMG, "HD*024**HLT*PPO-500", "DTP*349*D8*20260531", "HD*021**HLT*HDHP-3000", "DTP*348*D8*20260601"}},
		{"plan, with the old one's end", nil, elections(medical("end", "2026-05-15"), medical("plan", "med-hdhp", "start", "2026-06-01", "dependants", []any{"d2"}), dental), []string{
			"INS*Y*18*001*22*A***FT", "DTP*303*D8*20260508", name, dmg, "HD*024**HLT*PPO-500*ESP", "DTP*349*D8*20260515", "HD*021**HLT*HDHP-3000*ESP", "DTP*348*D8*20260601",
			"INS*N*01*024*07*A", "DTP*357*D8*20260515", leo, leoDMG, "HD*024**HLT*PPO-500", "DTP*349*D8*20260515",
			"INS*N*19*021*22*A", "DTP*356*D8*20260601", "NM1*IL*1*ROSSI*MIA", "DMG*D8*20200304*F", "HD*021**HLT*HDHP-3000", "DTP*348*D8*20260601"}},
		{"a line waived", nil, elections(medical(), elected("kind", "dental", "plan", "none-of-them", "start", "2026-06-01", "waived", true)), []string{
			"INS*Y*18*001*14*A***FT", "DTP*303*D8*20260508", name, dmg, "HD*024**DEN*DENT-A*EMP", "DTP*349*D8*20260531"}},
		{"everything waived", []any{"coverage_end", "same_day"}, elections(), []string{
			"INS*Y*18*024*07*A***FT", "DTP*357*D8*20260508", name, dmg, "HD*024**HLT*PPO-500*ESP", "DTP*349*D8*20260508", "HD*024**DEN*DENT-A*EMP", "DTP*349*D8*20260508",
			"INS*N*01*024*07*A", "DTP*357*D8*20260508", leo, leoDMG, "HD*024**HLT*PPO-500", "DTP*349*D8*20260508"}},
		{"retires", []any{"term_style", "every_member", "coverage_end", "end_of_next_month"}, ends, []string{
			"INS*Y*18*024*04*A***TE", "DTP*337*D8*20260508", "DTP*357*D8*20260630", name, dmg, "INS*N*01*024*04*A", "DTP*357*D8*20260630", leo, leoDMG}},
		{"retires, told of the subscriber", []any{"term_style", "subscriber", "coverage_end", "end_of_previous_month"}, ends, []string{
			"INS*Y*18*024*04*A***TE", "DTP*337*D8*20260508", "DTP*357*D8*20260430", name, dmg}},
		{"part time", nil, map[string]any{"employment.type": "part_time"}, []string{
			"INS*Y*18*001*33*A***PT", "DTP*303*D8*20260508", name, "N3*1 MAIN ST", "N4*BOISE*ID*83702", dmg}},
		{"leave", nil, map[string]any{"status": "leave"}, []string{
			"INS*Y*18*001*37*A***L1", "DTP*303*D8*20260508", name, "N3*1 MAIN ST", "N4*BOISE*ID*83702", dmg}},
	} {
		if d := cmp.Diff(c.want, told(t, carrier(t, c.settings...), ada, with(t, ada, c.changes), "2026-05-08")); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, d)
		}
	}
}

// TestRenumbered: another subscriber id goes to everybody who has it.
func TestRenumbered(t *testing.T) {
	ada := tree(t, someone)
	f := carrier(t, "policy", nil)
	p, err := f.Piece(connector.Delivery{ID: "e1", Before: ada, Body: with(t, ada, map[string]any{"subscriber.number": "N7"}), Effective: "2026-05-08"})
	if err != nil {
		t.Fatal(err)
	}
	segments, err := segmentsOf(p)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range segments {
		if s.ID() == "INS" || s.ID() == "REF" {
			got = append(got, strings.Join(s, "*"))
		}
	}
	want := []string{"INS*Y*18*001*25*A***FT", "REF*0F*N7", "REF*Q4*E1", "INS*N*01*001*25*A", "REF*0F*N7", "REF*Q4*E1"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestFaults: what a translator would refuse is held, with place and rule.
func TestFaults(t *testing.T) {
	ada := tree(t, someone)
	long := strings.Repeat("x", 61)
	election := func(kv ...any) map[string]any { return map[string]any{"elections": []any{elected(kv...)}} }
	for _, c := range []struct {
		what         string
		settings     []any
		changes      map[string]any
		reason, path string
	}{
		{"no family name", nil, map[string]any{"subscriber.family": ""}, "missing", "subscriber.family"},
		{"long name", nil, map[string]any{"subscriber.family": long}, "too_long", "subscriber.family"},
		{"another script", nil, map[string]any{"subscriber.given": "李"}, "character", "subscriber.given"},
		{"only marks", nil, map[string]any{"subscriber.given": "**"}, "character", "subscriber.given"},
		{"no birth date", nil, map[string]any{"subscriber.birth_date": nil}, "missing", "subscriber.birth_date"},
		{"no day", nil, map[string]any{"subscriber.birth_date": "1990-02-30"}, "bad_date", "subscriber.birth_date"},
		{"no number", nil, map[string]any{"subscriber.number": nil}, "missing", "subscriber.number"},
		{"placeholder", nil, map[string]any{"subscriber.ssn": "999-99-9999"}, "bad_ssn", "subscriber.ssn"},
		{"no ssn", []any{"member_id_missing", "hold"}, map[string]any{"subscriber.ssn": nil}, "no_member_id", "subscriber"},
		{"no ssn as number", []any{"subscriber_id", "ssn"}, map[string]any{"subscriber.ssn": nil}, "missing", "subscriber.ssn"},
		{"no address", nil, map[string]any{"home": nil}, "missing", "home"},
		{"no street", nil, map[string]any{"home.lines": nil}, "missing", "home.lines"},
		{"no such state", nil, map[string]any{"home.region": "US-XX"}, "bad_code", "home.region"},
		{"postal code", nil, map[string]any{"home.postal_code": "8370"}, "bad_code", "home.postal_code"},
		{"country", nil, map[string]any{"home.country": "USA"}, "bad_code", "home.country"},
		{"phone", nil, map[string]any{"contact.home_phone": "ask Leo"}, "bad_phone", "contact.home_phone"},
		{"e-mail", nil, map[string]any{"contact.email": "a b@c"}, "character", "contact.email"},
		{"plan", nil, election("plan", "gold"), "no_plan_code", "elections[0].plan"},
		{"no plan", nil, election("plan", ""), "missing", "elections[0].plan"},
		{"tier", nil, election("coverage", "clan"), "no_tier_code", "elections[0].coverage"},
		{"no tier", nil, election("coverage", ""), "missing", "elections[0].coverage"},
		{"nobody named", nil, election("coverage", "family"), "no_dependants", "elections[0].dependants"},
		{"somebody unknown", nil, election("coverage", "family", "dependants", []any{"d9"}), "unknown_dependant", "elections[0].dependants"},
		{"no start", nil, election("start", nil), "missing", "elections[0].start"},
		{"end before start", nil, election("end", "2026-01-01"), "bad_date", "elections[0].end"},
		{"two plans", nil, map[string]any{"elections": []any{elected(), elected("plan", "med-hdhp", "start", "2026-03-01")}}, "two_plans", "elections[1]"},
		{"relationship", nil, map[string]any{"dependants": []any{map[string]any{"id": "d1", "family": "R", "given": "L", "birth_date": "1989-03-04", "relationship": "cousin"}}}, "no_relationship_code", "dependants[0].relationship"},
		{"form", nil, map[string]any{"elections": "none"}, "body", "elections"},
	} {
		body := with(t, ada, c.changes)
		_, err := carrier(t, c.settings...).Piece(connector.Delivery{ID: "e1", Body: body})
		if x := fault.Of(err); x == nil || x.Class != fault.Record || x.Reason != c.reason || x.Path != c.path {
			t.Errorf("%s: %v, want %s at %s", c.what, err, c.reason, c.path)
		}
	}
	for _, c := range []struct { // nobody says the day: it is that on which the change is told
		what    string
		changes map[string]any
		want    string
	}{
		{"joins on no day", map[string]any{"elections": []any{elected("coverage", "family", "dependants", []any{"d1", "d2"}), elected("plan", "dental-a", "kind", "dental")}}, "INS*N*19*021*22*A DTP*356*D8*20260302"},
		{"elected no longer, on no day", map[string]any{"elections": []any{}}, "INS*Y*18*024*07*A***FT DTP*357*D8*20260331"},
		{"terminated on no day", map[string]any{"status": "terminated"}, "INS*Y*18*024*08*A***TE DTP*337*D8*20260302 DTP*357*D8*20260331"},
	} {
		if got := strings.Join(told(t, carrier(t), ada, with(t, ada, c.changes), ""), " "); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s in it", c.what, got, c.want)
		}
	}
}

// TestClean: what is left of a text in the agreed characters.
func TestClean(t *testing.T) {
	for _, c := range []struct{ in, basic, extended string }{
		{"Zoë O’Brien-Nuñez", "ZOE O'BRIEN-NUNEZ", "Zoe O'Brien-Nunez"},
		{" a  b\tc\n", "A B C", "a b c"},
		{"Łódź * ~ ^ : x", "LODZ X", "Lodz x"},
		{"Straße #4 @ home", "STRASSE 4 HOME", "Strasse #4 @ home"},
		{"12½ St", "12 1/2 ST", "12 1/2 St"},
		{"Ærø", "AERO", "AEro"},
	} {
		for set, want := range map[string]string{"basic": c.basic, "extended": c.extended} {
			if got, err := carrier(t, "character_set", set, "upper_case", false).clean(c.in); err != nil || got != want {
				t.Errorf("%q, %s: %q, %v; want %q", c.in, set, got, err, want)
			}
		}
	}
	if _, err := carrier(t).clean("Иванов"); err == nil {
		t.Error("another script is taken")
	}
}
