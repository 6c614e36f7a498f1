package muster_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/muster-hr/muster/services/muster"
)

// run calls the command line and gives exit code and answer.
func run(t *testing.T, args ...string) (int, string, string) {
	t.Helper()
	var out, errs bytes.Buffer
	code := muster.Run(context.Background(), muster.Env{Args: args, Getenv: func(string) string { return "" }, Stdout: &out, Stderr: &errs})
	return code, out.String(), errs.String()
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const all = "../../deploy/all"

// TestExplainSource: the signature is the one of the vendor's own vector.
func TestExplainSource(t *testing.T) {
	body := write(t, "body", `{"type":"employee.updated","timestamp":"2026-03-02T09:15:27+0000","data":{"companyId":"58231","employeeId":"4117","changedFields":["jobTitle"]}}`)
	headers := write(t, "headers", "Content-Type: application/json\nX-BambooHR-Timestamp: 1772442927\nX-BambooHR-Signature: 76fd141ac9f4eca90bc28ab8dec5ac54661150f562344affe778479a2d987320\n")
	for secret, verified := range map[string]bool{"0f3d7be1c9aa4e529b1c0f7d2f5ab1e8": true, "another": false} {
		code, out, errs := run(t, "explain", all, body, "--source", "bamboohr", "--headers", headers, "--secret", "webhook="+secret, "--clock", "2026-03-02T09:15:30Z", "--json")
		if code != 0 {
			t.Fatalf("exit %d: %s", code, errs)
		}
		var answer struct {
			OK     bool
			Result struct {
				Verified bool
				Respond  struct{ Status int }
				Records  []struct{ Kind, Key string }
			}
		}
		if err := json.Unmarshal([]byte(out), &answer); err != nil {
			t.Fatal(err)
		}
		r := answer.Result
		if !answer.OK || r.Verified != verified {
			t.Errorf("with secret %q: %s", secret, out)
		}
		if verified && (r.Respond.Status != 200 || len(r.Records) != 1 || r.Records[0].Kind != "hint" || r.Records[0].Key != "4117") {
			t.Errorf("authentic: %s", out)
		}
		if !verified && (r.Respond.Status != 401 || len(r.Records) != 0) {
			t.Errorf("not authentic: %s", out)
		}
	}
}

func TestExplainTarget(t *testing.T) {
	who := write(t, "e.json", `{"id":"7","name":{"given":"Ada","family":"B"},"work_email":"a@b.example","birth_date":"1990-01-01","employment":{"status":"pre_hire"}}`)
	code, out, errs := run(t, "explain", all, who, "--target", "okta", "--json")
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	if !strings.Contains(out, "https://all.okta.com/api/v1/users?activate=false") || !strings.Contains(out, `"withheld": [`+"\n      \"birth_date\"") || strings.Contains(out, "1990") {
		t.Error(out)
	}
	before := write(t, "s.json", `{"employee": {"id":"7","name":{"given":"Ada","family":"A"},"work_email":"a@b.example","employment":{"status":"active"}}, "refs": {"id": "00u1", "status": "ACTIVE"}}`)
	leaver := write(t, "l.json", `{"id":"7","name":{"given":"Ada","family":"A"},"work_email":"a@b.example","employment":{"status":"terminated"}}`)
	code, out, errs = run(t, "explain", all, leaver, "--target", "okta", "--before", before)
	if code != 0 || !strings.Contains(out, "POST https://all.okta.com/api/v1/users/00u1/lifecycle/deactivate?sendEmail=false") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
}

func TestExplainWrongly(t *testing.T) {
	file := write(t, "f", "{}")
	for _, args := range [][]string{
		{"explain", all, file},
		{"explain", all, file, "--source", "bamboohr", "--target", "okta"},
		{"explain", all, "no such file", "--source", "bamboohr"},
		{"explain", all, file, "--source", "nobody"},
		{"explain", all, file, "--source", "bamboohr"}, // no secret
		{"explain", all, file, "--source", "bamboohr", "--secret", "inline-value"},
		{"explain", all, file, "--source", "bamboohr", "--secret", "webhook=x", "--clock", "noon"},
		{"explain", "no such folder", file, "--source", "bamboohr"},
		{"service", "nobody"},
	} {
		code, out, errs := run(t, append(args, "--json")...)
		if code != 2 || !strings.Contains(out, `"ok": false`) {
			t.Errorf("%v: exit %d\n%s%s", args, code, out, errs)
		}
		if strings.Contains(out, "inline-value") {
			t.Errorf("%v: the secret is repeated", args)
		}
	}
}
