package survey

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/fault"
)

// TestParse reads what was written, whatever the texts; 0 and false stay.
func TestParse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String()
		one := 1
		want := Response{
			Survey: rapid.StringN(1, 20, -1).Draw(t, "survey"), Response: rapid.StringN(1, 20, -1).Draw(t, "response"),
			SubmittedAt: time.Unix(rapid.Int64Range(1, 4e9).Draw(t, "at"), 0).UTC(),
			Respondent:  &Respondent{Email: text.Draw(t, "email")},
			Answers: []Answer{
				{Question: text.Draw(t, "question"), Kind: Scale, Value: json.Number("0"), Min: &one},
				{Question: "q", Kind: YesNo, Value: false}, {Question: "t", Kind: Text, Value: text.Draw(t, "value")},
			},
			Hidden: map[string]string{text.Draw(t, "name"): text.Draw(t, "hidden")},
		}
		raw, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := json.Marshal(got)
		if d := cmp.Diff(string(raw), string(again)); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
}

func TestParseRefuses(t *testing.T) {
	for body, path := range map[string]string{
		`{"token":"Zofia"}`: "survey", `{"survey":"a"}`: "response", `{"survey":"a","response":"b"}`: "submitted_at",
		`{"survey":"a","response":"b","submitted_at":"Zofia"}`: "", `Zofia`: "", `[]`: "", `null`: "survey", ``: "",
	} {
		_, err := Parse([]byte(body))
		if f := fault.Of(err); f == nil || f.Class != fault.Record || f.Path != path || strings.Contains(err.Error(), "Zofia") {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"survey":"a","response":"b","submitted_at":"2026-05-04T08:15:09Z","answers":[{"question":"x","kind":"enps","value":0}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := Parse(body)
		if (err == nil) != (r.Survey != "" && r.Response != "") {
			t.Errorf("%+v, %v", r, err)
		}
	})
}
