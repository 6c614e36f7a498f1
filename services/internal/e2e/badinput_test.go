package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sign makes the headers of the http source of company order.
func (s *system) sign(body []byte) http.Header {
	mac := hmac.New(sha256.New, []byte(s.Sources["hr"].Secret))
	mac.Write(body)
	return http.Header{"X-Signature": {hex.EncodeToString(mac.Sum(nil))}}
}

// What does not fit becomes a dead letter that names where and by which rule;
// others go on. What cannot be read at all but is authentic is kept too.
func TestBadInputBecomesADeadLetter(t *testing.T) {
	s := start(t, t.TempDir(), nil, "up", "--sandbox", "--config", filepath.Join("testdata", "order"))
	for what, body := range map[string]string{
		"a record that does not fit": `{"id":"9","seq":1,"department":{"planted":"value"}}`,
		"half a record":              `{"id":"9","seq":`,
	} {
		if code := s.call(http.MethodPost, s.Sources["hr"].Webhook, s.sign([]byte(body)), []byte(body), nil); code != http.StatusAccepted {
			t.Errorf("%s was answered %d", what, code)
		}
	}
	if code := s.call(http.MethodPost, s.Sources["hr"].Webhook, http.Header{"X-Signature": {"00"}}, []byte(`{"id":"6"}`), nil); code != http.StatusUnauthorized {
		t.Errorf("a forged call was answered %d", code)
	}
	if code := s.call(http.MethodPost, s.Ingress+"/webhooks/nobody", nil, []byte(`{}`), nil); code != http.StatusNotFound {
		t.Errorf("an unknown source was answered %d", code)
	}
	s.push("8", 1, "Legal")
	s.awaitSaid("8", "1", "Legal")
	type letter struct{ Stage, Source, Class, Reason, Path, Rule string }
	var page struct{ Items []letter }
	s.until("two dead letters", 15*time.Second, func() bool {
		page.Items = nil
		s.api("/dead", &page)
		return len(page.Items) == 2
	})
	mapped := false
	for _, l := range page.Items {
		if l.Stage != "map" || l.Source != "hr" || l.Class != "record" || l.Reason == "" {
			t.Errorf("letter %+v", l)
		}
		if strings.Contains(l.Path, "department") && strings.Contains(l.Rule, "positions") {
			mapped = true
		}
	}
	if !mapped {
		t.Errorf("no letter names the path and the rule: %+v", page.Items)
	}
	if strings.Contains(s.logText(), "planted") {
		t.Error("the log holds a value of the record")
	}
}

// A wrong folder is refused before anything starts, with every problem at once.
func TestBadConfigListsEveryProblem(t *testing.T) {
	company := copyDir(t, filepath.Join(root(t), "deploy", "acme"))
	edit(t, filepath.Join(company, "targets", "okta.yaml"), "env:ACME_OKTA_TOKEN", "hunter2-planted")
	edit(t, filepath.Join(company, "sources", "greenhouse.yaml"), "connector: greenhouse", "connector: greenhose")
	edit(t, filepath.Join(company, "integrations", "hris-to-bi.yaml"), "fields:", "feilds:")
	code, out, errs := muster(t, nil, "validate", company)
	if code != 2 {
		t.Errorf("exit %d, want 2", code)
	}
	for _, want := range []string{"targets/okta.yaml:", "sources/greenhouse.yaml:", "integrations/hris-to-bi.yaml:", "greenhouse", "fields"} {
		if !strings.Contains(errs, want) {
			t.Errorf("the list does not name %s:\n%s%s", want, out, errs)
		}
	}
	if strings.Contains(errs, "planted") {
		t.Error("a secret is repeated")
	}
	if code, _, _ := muster(t, nil, "up", "--config", company, "--data", t.TempDir()); code != 2 {
		t.Errorf("up: exit %d, want 2", code)
	}
	_, out, _ = muster(t, nil, "validate", company, "--json")
	var answer struct {
		OK     bool
		Errors []struct {
			File, Code, Message, Fix string
			Line, Column             int
		}
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil || answer.OK || len(answer.Errors) < 3 {
		t.Fatalf("--json: %v\n%s", err, out)
	}
	for _, e := range answer.Errors {
		if e.File == "" || e.Line == 0 || e.Column == 0 || e.Code == "" || e.Message == "" || e.Fix == "" {
			t.Errorf("a problem without its place or its mend: %+v", e)
		}
	}
	if code, _, _ := muster(t, nil, "validate", filepath.Join(root(t), "deploy", "acme")); code != 0 {
		t.Errorf("the shipped company: exit %d", code)
	}
}
