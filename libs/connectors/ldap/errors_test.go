package ldap

import (
	"bufio"
	"context"
	"errors"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/muster-hr/muster/libs/fault"
)

// verdicts of the recorded answers, by their description.
var verdicts = map[string]string{
	"add, same DN":                     "record exists",
	"add, employeeNumber taken":        "record exists attributes.employeeNumber",
	"add, sn missing":                  "record schema attributes.sn",
	"add, empty telephoneNumber":       "record schema attributes.telephoneNumber",
	"add, unescaped comma in DN":       "record schema",
	"modify, entry missing":            "record not_found",
	"modify add, value present":        "done already",
	"modify delete, attribute absent":  "done already",
	"modify of the naming attribute":   "record schema",
	"modrdn, parent missing":           "record not_found",
	"assertion control, mismatch":      "transient changed",
	"simple bind without TLS":          "target tls_required",
	"bind, locked (with policy)":       "target auth",
	"bind, DN and empty password":      "record unwilling",
	"bind, wrong password":             "target auth ldap_49_52e",
	"bind, disabled account":           "target auth ldap_49_533",
	"password rule":                    "record password_policy ldap_53_52d",
	"session lost":                     "transient session ldap_1_4dc",
	"modify replace, attribute absent": "",
	"search, size limit":               "",
}

// TestRecordedAnswers are classified, each of them.
func TestRecordedAnswers(t *testing.T) {
	f, err := os.Open("testdata/answers/results.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	line := regexp.MustCompile(`^(.*?)\s*: (\d+) (.*)$`)
	seen := 0
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.HasPrefix(s.Text(), "#") {
			continue
		}
		m := line.FindStringSubmatch(s.Text())
		if m == nil {
			t.Fatalf("cannot read %q", s.Text())
		}
		want, known := verdicts[m[1]]
		if !known {
			t.Errorf("no verdict on %q", m[1])
			continue
		}
		seen++
		code, _ := strconv.ParseUint(m[2], 10, 16)
		if want == "" {
			continue // no error, or one that search takes for an answer
		}
		text := m[3]
		if _, diagnostic, ok := strings.Cut(text, "; "); ok {
			text = diagnostic
		}
		got := classify(t.Context(), goldap.NewError(uint16(code), errors.New(text)), []string{"employeeNumber", "sn", "telephoneNumber", "title", "mobile"})
		words := strings.Fields(want)
		if got.Class.String() != words[0] || got.Reason != words[1] {
			t.Errorf("%s: %s %s, want %s", m[1], got.Class, got.Reason, want)
		}
		for _, w := range words[2:] {
			if got.Path != w && got.Rule != w {
				t.Errorf("%s: at %q, rule %q, want %s", m[1], got.Path, got.Rule, w)
			}
		}
		if strings.Contains(got.Error(), "E-10417") {
			t.Errorf("%s: the error tells a value: %v", m[1], got)
		}
	}
	if seen != len(verdicts) {
		t.Errorf("%d of %d recorded answers", seen, len(verdicts))
	}
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		code uint16
		text string
		want fault.Class
		why  string
	}{
		{1, "something else", fault.Transient, "operations_error"},
		{3, "", fault.Transient, "unavailable"},
		{8, "", fault.Target, "tls_required"},
		{10, "ldap://other", fault.Target, "referral"},
		{19, "Password fails quality checking policy", fault.Record, "password_policy"},
		{50, "", fault.Record, "permission"},
		{51, "", fault.Transient, "unavailable"},
		{52, "", fault.Transient, "unavailable"},
		{53, "operation restricted", fault.Target, "read_only"},
		{53, "00000524: UpdErr", fault.Record, "exists"},
		{53, "00000525: NameErr", fault.Record, "not_found"},
		{64, "", fault.Record, "schema"},
		{67, "", fault.Record, "schema"},
		{68, "00000524: UpdErr: DSID-031A11E2", fault.Record, "exists"},
		{80, "", fault.Transient, "unavailable"},
		{118, "", fault.Transient, "unclassified"},
		{200, "EOF", fault.Transient, "network"},
		{201, "", fault.Record, "schema"},
		{205, "", fault.Transient, "network"},
		{206, "", fault.Target, "auth"},
	} {
		f := classify(t.Context(), goldap.NewError(c.code, errors.New(c.text)), nil)
		if f.Class != c.want || f.Reason != c.why {
			t.Errorf("%d %q: %s %s, want %s %s", c.code, c.text, f.Class, f.Reason, c.want, c.why)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if f := classify(ended, goldap.NewError(200, errors.New("closed")), nil); f.Reason != "canceled" || f.Class != fault.Transient {
		t.Errorf("a call that was given up: %v", f)
	}
}

// FuzzClassify: whatever a server says, nothing of it is passed on but codes and
// the name of an attribute that we sent.
func FuzzClassify(f *testing.F) {
	f.Add(uint16(19), "non-unique attributes found with (|(mail=zofia@brightfjord.example))")
	f.Add(uint16(53), "0000052D: SvcErr: DSID-031A12D2, problem 5003 (WILL_NOT_PERFORM), data 0")
	f.Add(uint16(21), "title: value #0 invalid per syntax Plantedová")
	f.Add(uint16(49), "80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, data 52e, v4563")
	f.Fuzz(func(t *testing.T, code uint16, text string) {
		got := classify(context.Background(), goldap.NewError(code, errors.New(text)), []string{"mail"})
		if got.Path != "" && got.Path != "attributes.mail" {
			t.Errorf("path %q", got.Path)
		}
		said := strings.ToLower(got.Rule + " " + got.Err.Error() + " " + got.Reason)
		for _, word := range regexp.MustCompile(`[\p{L}\p{N}@.]{9,}`).FindAllString(text, -1) {
			known := strings.ToLower(goldap.LDAPResultCodeMap[code] + " unavailable unclassified operations_error connection password_policy tls_required permission without")
			if strings.Contains(said, strings.ToLower(word)) && !strings.Contains(known, strings.ToLower(word)) {
				t.Errorf("%q tells %q", said, word)
			}
		}
	})
}
