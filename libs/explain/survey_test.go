package explain_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/explain"
	"github.com/muster-hr/muster/libs/mapping"
)

// A response to a survey: by what it is linked, and with a mapping what it says
// about whom it is linked to; nothing of one that is anonymous.
func TestSurvey(t *testing.T) {
	for _, c := range []struct {
		name, file, rules string
		want              []explain.Stage
		fields            bool
	}{
		{"no mapping", "form_response.json", "", []explain.Stage{
			{Stage: "map", Outcome: "ok", Rule: "survey"}, {Stage: "identify", Outcome: "ok", Rule: "respondent", Path: "respondent.external_id"},
		}, false},
		{"anonymous", "form_response_anonymous.json", "fields: {name.preferred: 'answers[question=improve].value'}", []explain.Stage{
			{Stage: "map", Outcome: "ok", Rule: "survey"}, {Stage: "identify", Outcome: "ok", Rule: "anonymous"},
		}, false},
		{"mapped", "form_response.json", "fields: {name.preferred: 'hidden.first_name'}", []explain.Stage{
			{Stage: "map", Outcome: "ok"}, {Stage: "identify", Outcome: "ok", Rule: "respondent", Path: "respondent.external_id"}, {Stage: "order", Outcome: "ok", Rule: "time"},
			{Stage: "authority", Outcome: "conflict", Rule: "no_authority", Path: "name.preferred"}, {Stage: "effective", Outcome: "ok"},
		}, true},
		{"does not fit", "form_response.json", "fields: {birth_date: 'answers[question=improve].value'}", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			acme := company(t, "all")
			acme.Authority.Default = nil
			acme.Authority.Fields = nil
			if c.rules != "" {
				acme.Sources["typeform"].Mapping = mapping.MustParse("typeform.yaml", []byte(c.rules), mapping.Options{Source: "typeform"})
			}
			body, err := os.ReadFile(filepath.Join("..", "connectors", "typeform", "testdata", "vendor", c.file))
			if err != nil {
				t.Fatal(err)
			}
			m := hmac.New(sha256.New, []byte(key))
			m.Write(body)
			h := http.Header{"Typeform-Signature": {"sha256=" + base64.StdEncoding.EncodeToString(m.Sum(nil))}}
			got, err := explain.Source(t.Context(), acme, "typeform", explain.Call{Header: h, Body: body, Now: now, Secrets: map[string]string{"webhook": key}, Getenv: none})
			if err != nil || len(got.Records) != 1 {
				t.Fatal(got, err)
			}
			r := got.Records[0]
			if c.want == nil {
				if last := r.Stages[len(r.Stages)-1]; last.Stage != "map" || last.Outcome != "dead" {
					t.Errorf("stages %+v", r.Stages)
				}
				return
			}
			if d := cmp.Diff(c.want, r.Stages[1:]); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if c.fields != (len(r.Observations) == 1) {
				t.Errorf("observations %+v", r.Observations)
			}
		})
	}
}
