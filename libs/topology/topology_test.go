package topology

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestTokens(t *testing.T) {
	subject := DeliveredTo("okta", "e1")
	if subject != "hr.delivered.okta.e1" || Last(subject) != "e1" || Token(subject, 2) != "okta" || Token(subject, 9) != "" || Token("hr", 0) != "hr" {
		t.Errorf("%s: last %s, third %s", subject, Last(subject), Token(subject, 2))
	}
	if got := DeadLetter(StageMap, "", "", ""); got != "hr.dead.map.-.-.-" {
		t.Errorf("unknown tokens: %s", got)
	}
	for name, ok := range map[string]bool{"team-bi": true, "a_1": true, "": false, "a.b": false, "a b": false, "ö": false, "*": false, ">": false, strings.Repeat("a", 65): false} {
		if ValidToken(name) != ok {
			t.Errorf("ValidToken(%q) = %v", name, !ok)
		}
	}
}

// The comments beside the streams are what people read: each names the
// subjects that the functions below them make.
func TestCommentsNameTheSubjects(t *testing.T) {
	b, err := os.ReadFile("topology.go")
	if err != nil {
		t.Fatal(err)
	}
	comments := strings.Join(regexp.MustCompile(`(?m)^\t[A-Z]\w+ += "[A-Z]+" +//.*$`).FindAllString(string(b), -1), "\n")
	for _, subject := range []string{Hint("a", "k"), Listed("a", "k"), RawRecord("s", "k"), Said("s", "k"), Match("email", "h"), Employee("i"), Leaver("i"), DeliveredTo("t", "i"),
		ParkedAt("t", "i"), WakeAt("t", "i"), DueAt("t", "i"), DeadLetter("map", "x", "i", "e"), Decide("r", "v"), AuditOf("s", "a"), Key("basic", "o"), ConfigCurrent, Survey("f", "r")} {
		start := strings.Join(strings.Split(subject, ".")[:2], ".")
		if !strings.Contains(comments, start+".") {
			t.Errorf("no comment names %s", start)
		}
	}
}
