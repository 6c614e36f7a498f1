package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestASurveyAnswerReachesTheFacts follows answers from the survey tool to the
// table of facts, to the person, and to the HRIS.
func TestASurveyAnswerReachesTheFacts(t *testing.T) {
	company := copyDir(t, filepath.Join(root(t), "deploy", "acme"))
	edit(t, filepath.Join(company, "sources", "typeform.yaml"), "schedule: 15m", "schedule: 1s")
	edit(t, filepath.Join(company, "sources", "bamboohr.yaml"), "link_wait: 60s", "link_wait: 1s") // nobody but the HRIS hires here
	s := start(t, t.TempDir(), nil, "up", "--sandbox", "--config", company)
	since := time.Now().AddDate(0, 0, -30).Format(time.DateOnly)

	// One response before anybody is known, two after, one of them anonymous.
	const email = "zofia.w@acme.example"
	s.do("typeform", "answer", map[string]any{"email": email, "token": "early", "answers": map[string]any{"enps": 9}})
	hris := fmt.Sprint(s.do("bamboohr", "hire", map[string]any{"given": planted.given, "family": planted.family, "start": since, "work_email": email})["id"])
	var id string
	s.until("the hire to be known", 30*time.Second, func() (ok bool) { id, ok = s.known("bamboohr:" + hris); return ok })
	s.do("typeform", "answer", map[string]any{"email": email, "token": "late", "answers": map[string]any{"enps": 0, "stay": false, "improve": "Zosia's own words", "preferred": "Zosia"}})
	s.do("typeform", "answer", map[string]any{"token": "nobody", "answers": map[string]any{"enps": 3}})

	type response struct {
		Status, Employee string
		LinkedBy         string `json:"linked_by"`
		Answers          []struct {
			Question string
			Value    any
		}
	}
	list := func(query string) (items []response) {
		var page struct{ Items []response }
		if code := s.api("/surveys?"+query, &page); code != http.StatusOK {
			t.Fatalf("surveys answered %d", code)
		}
		return page.Items
	}
	s.until("both responses to be linked", 30*time.Second, func() bool { return len(list("employee="+id)) == 2 })
	for _, r := range list("employee=" + id) {
		if r.Status != "linked" || r.LinkedBy != "email" {
			t.Errorf("%+v", r)
		}
	}
	s.until("the anonymous response", 30*time.Second, func() bool { return len(list("status=anonymous")) == 1 })
	got := map[string]any{}
	for _, a := range list("show=1&employee=" + id)[0].Answers {
		got[a.Question] = a.Value
	}
	if got["enps"] != 0.0 || got["stay"] != false || got["improve"] != nil {
		t.Errorf("facts: %v", got)
	}
	s.until("the HRIS to hear the preferred name", 30*time.Second, func() bool {
		return s.vendor("bamboohr").People[hris]["preferredName"] == "Zosia"
	})

	// The same responses polled: nothing happens twice.
	s.until("a poll", 30*time.Second, func() bool {
		var seen struct{ Requests []struct{ Path string } }
		s.call(http.MethodGet, s.Sandbox+"/_sandbox/typeform/requests", nil, nil, &seen)
		return len(seen.Requests) >= 2
	})
	s.until("the poll's records to be repeats", 30*time.Second, func() bool {
		return s.metric("transform", `muster_records_total{outcome="repeated",source="typeform"}`) != ""
	})
	if n := len(list("")); n != 3 {
		t.Errorf("%d responses, want 3", n)
	}
	var writes []string // of the name: our id is written beside, once
	for _, w := range s.vendor("bamboohr").Writes {
		if body, _ := w.Body.(map[string]any); body["preferredName"] != nil {
			writes = append(writes, w.Traceparent)
		}
	}
	if len(writes) != 1 {
		t.Fatalf("%d writes of the name to the HRIS, want 1", len(writes))
	}
	// It is one trace from the form to the HRIS.
	var all struct {
		Items []struct {
			TraceID string `json:"trace_id"`
			Answers []any
		}
	}
	if s.api("/surveys?employee="+id, &all); len(all.Items) != 2 || len(all.Items[0].Answers) < 4 || all.Items[0].TraceID != strings.Split(writes[0], "-")[1] {
		t.Errorf("the write has trace %s, the responses %+v", writes[0], all)
	}
}
