package muster

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The list goes through all pages; a response is shown as the console gives it.
func TestSurvey(t *testing.T) {
	const one = `{"id":"r1","survey":"f1","status":"linked","employee":"emp1","linked_by":"email","submitted_at":"2026-05-04T08:15:09Z","answers":[{"question":"enps","kind":"enps","value":9}]}`
	var asked []string
	console := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path+"?"+r.URL.Query().Encode())
		switch {
		case r.Header.Get("Authorization") != "Bearer token":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/api/v1/surveys/r1":
			_, _ = w.Write([]byte(one))
		case r.URL.Query().Get("after") == "":
			_, _ = w.Write([]byte(`{"items":[` + one + `],"next":"c1"}`))
		default:
			_, _ = w.Write([]byte(`{"items":[` + strings.ReplaceAll(one, "r1", "r2") + `],"next":null}`))
		}
	}))
	defer console.Close()
	run := func(args ...string) (int, string) {
		var out bytes.Buffer
		env := map[string]string{"MUSTER_CONSOLE_URL": console.URL, "MUSTER_API_TOKEN": "token"}
		code := Run(t.Context(), Env{Args: args, Getenv: func(k string) string { return env[k] }, Stdout: &out, Stderr: &out})
		return code, out.String()
	}
	if code, out := run("survey", "ls", "--status", "linked", "--show"); code != 0 || strings.Count(out, "\n") != 2 || !strings.Contains(out, "r2  ") || !strings.Contains(out, "emp1") {
		t.Errorf("%d %s", code, out)
	}
	if want := "/api/v1/surveys?after=c1&limit=500&show=1&status=linked"; asked[len(asked)-1] != want {
		t.Errorf("asked %v, want %s", asked, want)
	}
	code, out := run("survey", "show", "r1", "--json")
	var got struct {
		OK     bool
		Result struct{ ID string }
	}
	if json.Unmarshal([]byte(out), &got) != nil || code != 0 || !got.OK || got.Result.ID != "r1" {
		t.Errorf("%d %s", code, out)
	}
	if code, out := run("survey", "show", "r1"); code != 0 || !strings.Contains(out, "enps") || !strings.Contains(out, "9") {
		t.Errorf("%d %s", code, out)
	}
	for _, args := range [][]string{{"survey", "show"}, {"survey", "ls", "x"}, {"survey", "ls", "--nothing"}} {
		if code, out := run(args...); code != 2 {
			t.Errorf("%v: %d %s", args, code, out)
		}
	}
}
