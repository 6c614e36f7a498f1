package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// values are what is planted with one person, as their vendor writes it.
type values struct{ ssn, birth, pay string }

// plantedOf is nobody else's.
func plantedOf(p int) values {
	return values{
		ssn:   fmt.Sprintf("%03d-%02d-%04d", 200+p%400, 10+p%80, 1000+p),
		birth: time.Date(1960, 1, 1+7*p, 0, 0, 0, 0, time.UTC).Format(time.DateOnly),
		pay:   fmt.Sprintf("%d.37", 50000+7*p),
	}
}

// classes are the classes of planted values, by the field that an integration
// lists.
var classes = []string{"birth_date", "national_ids", "compensation"}

var figures = regexp.MustCompile(`[0-9]+(?:[-./][0-9]+)*`)

// bare takes the signs out of a number or a day.
func bare(s string) string { return strings.NewReplacer("-", "", ".", "", "/", "").Replace(s) }

// carried finds the planted values in a text, by class, in every spelling of
// days and numbers that keeps the order of digits, and days as in America. It
// gives each with what stands around it. Digits within a word are none: ids are
// random letters and digits, and among a hundred thousand some look like a pay.
func carried(text []byte, needles map[string]string) map[string][]string {
	found := map[string][]string{}
	for _, at := range figures.FindAllIndex(text, -1) {
		class, ok := needles[bare(string(text[at[0]:at[1]]))]
		if !ok || at[0] > 0 && letter(text[at[0]-1]) || at[1] < len(text) && letter(text[at[1]]) && text[at[1]] != 'T' {
			continue
		}
		found[class] = append(found[class], string(text[max(0, at[0]-60):min(len(text), at[1]+60)]))
	}
	return found
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' }

// needles are all planted values without signs, with their class.
func (l *load) needles() map[string]string {
	out := map[string]string{}
	for p := range l.news {
		x := plantedOf(p)
		birth := bare(x.birth)
		out[birth], out[birth[4:]+birth[:4]], out[birth[6:]+birth[4:6]+birth[:4]] = classes[0], classes[0], classes[0]
		out[bare(x.ssn)], out[bare(x.pay)] = classes[1], classes[2]
	}
	return out
}

// minimised looks for planted values in everything that changed something at a
// target, and in the paths of all calls.
func (k *killer) minimised(v *verdict) {
	needles := k.l.needles()
	for _, target := range v.targets {
		text := k.said.Bytes()
		if _, fake := fakes[target]; fake {
			var writes, calls json.RawMessage
			k.s.call(http.MethodGet, k.s.Sandbox+"/_sandbox/"+target+"/state", nil, nil, &writes)
			k.s.call(http.MethodGet, k.s.Sandbox+"/_sandbox/"+target+"/requests", nil, nil, &calls)
			text = bytes.Join([][]byte{writes, calls}, []byte("\n"))
		}
		found, listed := carried(text, needles), lists(target)
		for _, class := range classes {
			switch n := len(found[class]); {
			case !listed[class] && n > 0:
				v.leaked += n
				v.note("%s: got %d values of %s, which its integration does not list: …%s…", target, n, class, found[class][0])
			case listed[class] && n == 0:
				v.lost++
				v.note("%s: got no value of %s, though its integration lists it", target, class)
			default:
				v.planted += n
			}
		}
	}
}

// lists tells which classes the integration of a target lists.
func lists(target string) map[string]bool {
	out := map[string]bool{}
	for _, company := range []string{"chaos", "chaos-all"} {
		text, _ := os.ReadFile(filepath.Join("testdata", company, "integrations", "to-"+target+".yaml"))
		for _, class := range classes {
			out[class] = out[class] || bytes.Contains(text, []byte(class))
		}
	}
	return out
}

// TestPlantedValuesAreSeen: the search finds what it is for, however it is
// spelled, and knows who may have it.
func TestPlantedValuesAreSeen(t *testing.T) {
	l := newLoad(7, 100, 10)
	x, needles := plantedOf(3), l.needles()
	for _, text := range []string{
		x.ssn, bare(x.ssn), `{"rate":` + x.pay + `}`, x.birth, "DMG*D8*" + bare(x.birth) + "*U~", "&dob=" + x.birth[5:7] + "/" + x.birth[8:] + "/" + x.birth[:4],
	} {
		if n := len(carried([]byte(text), needles)); n != 1 {
			t.Errorf("%s: %d classes", text, n)
		}
	}
	pay := bare(x.pay)
	if n := carried([]byte("C00003 r17 c00003.2@chaos.example 2020-01-01 2026-11-24T19:31:19.1234Z "+pay+"abc ab"+pay+" T10:11:"+pay[:2]+"."+pay[2:]+"Z"), needles); len(n) > 0 {
		t.Errorf("found %v where nothing is", n)
	}
	for target, want := range map[string]int{"okta": 0, "ldap": 0, "scim": 0, "moodle": 0, "team-bi": 0, "edi834": 2, "csv": 3, "gusto": 3} {
		n := 0
		for _, yes := range lists(target) {
			if yes {
				n++
			}
		}
		if n != want {
			t.Errorf("%s may have %d classes, want %d", target, n, want)
		}
	}
}

// unanswered counts people of whom a piece waits for a file, or for its
// receiver's answer: a version was taken on, and nothing newer has ended.
func (k *killer) unanswered(ctx context.Context) (n int) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	db, err := pgx.Connect(ctx, k.s.Postgres)
	if err != nil {
		return 1 // it comes back
	}
	defer func() { _ = db.Close(ctx) }()
	if err := db.QueryRow(ctx, `SELECT count(*) FROM (SELECT 1 FROM audit_records WHERE kind = 'delivery' AND target = ANY($1)
		GROUP BY employee, target
		HAVING coalesce(max(version) FILTER (WHERE outcome = 'accepted'), 0) > coalesce(max(version) FILTER (WHERE outcome IN ('applied', 'dead', 'discarded')), 0)) open`,
		filed).Scan(&n); err != nil {
		return 1
	}
	return n
}
