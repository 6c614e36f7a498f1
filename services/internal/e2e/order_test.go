package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"
)

// push sends one signed record of the http source.
func (s *system) push(key string, seq int, department string) {
	s.t.Helper()
	body := fmt.Appendf(nil, `{"id":%q,"seq":%d,"department":%q}`, key, seq, department)
	h := s.sign(body)
	s.until(fmt.Sprintf("version %d to be accepted", seq), 10*time.Second, func() bool {
		return s.call(http.MethodPost, s.Sources["hr"].Webhook, h, body, nil) == http.StatusAccepted
	})
}

// said is the version that the source said last about a key.
func (s *system) said(key string) (version, department string) {
	s.t.Helper()
	id, ok := s.known("hr:" + key)
	if !ok {
		return "", ""
	}
	var e struct {
		Employee struct {
			Positions []struct{ Department string }
		}
		Sources []struct {
			Version struct{ Value string }
		}
	}
	if s.api("/employees/"+id+"?show=1", &e) != http.StatusOK || len(e.Sources) != 1 || len(e.Employee.Positions) != 1 {
		return "", ""
	}
	return e.Sources[0].Version.Value, e.Employee.Positions[0].Department
}

func (s *system) awaitSaid(key, version, department string) {
	s.t.Helper()
	s.until(fmt.Sprintf("version %s of %s", version, key), 15*time.Second, func() bool {
		v, d := s.said(key)
		return v == version && d == department
	})
}

// A late older version must not win, also when the newer one changed nothing
// and everything was killed in between.
func TestAnOlderVersionNeverWins(t *testing.T) {
	data, env := t.TempDir(), []string{}
	company := filepath.Join("testdata", "order")
	up := func() *system { return start(t, data, env, "up", "--sandbox", "--config", company) }

	s := up()
	s.push("7", 3, "Payroll")
	s.awaitSaid("7", "3", "Payroll")
	s.kill()

	s = up()
	s.push("7", 5, "Payroll") // equal to version 3: nothing changes but the version
	s.awaitSaid("7", "5", "Payroll")
	s.kill()

	s = up()
	s.push("7", 4, "Sales")
	s.push("8", 1, "Legal") // comes after it, so once it is through the late one was judged
	s.awaitSaid("8", "1", "Legal")
	s.awaitSaid("7", "5", "Payroll")
	s.until("the other person at the target", 10*time.Second, func() bool { return len(s.vendor("sink").Writes) > 0 })
	for _, w := range s.vendor("sink").Writes {
		if fmt.Sprint(w.Body) != "map[department:Legal number:8]" {
			t.Errorf("the target received %v", w.Body)
		}
	}
	s.stop()
}

// The HRIS fires its webhook before it answers our create, and then the answer
// is lost: one employee, one person in each target, no write that only returns
// what came from there.
func TestEchoOfACreateWhoseAnswerWasLost(t *testing.T) {
	s := start(t, t.TempDir(), nil, "up", "--sandbox", "--config", filepath.Join(root(t), "deploy", "acme"))
	s.fault("bamboohr", map[string]any{"status": 502, "when": "after_effect", "times": 1, "match": map[string]string{"method": "POST", "path": "/api/v1/employees"}})
	s.do("greenhouse", "hire", map[string]any{"given": "Ada", "family": "Lovelace", "start": time.Now().AddDate(0, 0, 7).Format(time.DateOnly),
		"title": "Analyst", "department": "Engineering", "salary": "70000", "currency": "USD"})
	s.until("an account with the number from the HRIS", 30*time.Second, func() bool {
		for _, p := range s.vendor("okta").People {
			if profile, ok := p["profile"].(map[string]any); ok && profile["employeeNumber"] != nil && profile["employeeNumber"] != "" {
				return true
			}
		}
		return false
	})
	quiet := func() int { return len(s.requests("bamboohr")) + len(s.requests("okta")) + len(s.requests("payroll")) }
	last, since := quiet(), time.Now()
	s.until("quiet", 20*time.Second, func() bool {
		if n := quiet(); n != last {
			last, since = n, time.Now()
		}
		return time.Since(since) > 1500*time.Millisecond
	})
	creates := map[string]int{}
	for _, v := range []string{"bamboohr", "okta", "payroll"} {
		state := s.vendor(v)
		if len(state.People) != 1 {
			t.Errorf("%s has %d people", v, len(state.People))
		}
		for _, w := range state.Writes {
			if w.Op == "create" {
				creates[v]++
			}
			if v == "bamboohr" && w.Op != "create" {
				t.Errorf("an echo was written to the HRIS: %s %v", w.Op, w.Body)
			}
		}
		t.Logf("%s: %d requests, %d writes", v, len(s.requests(v)), len(state.Writes))
	}
	if creates["bamboohr"] != 1 || creates["okta"] != 1 {
		t.Errorf("creates: %v", creates)
	}
	s.stop()
}

func (s *system) requests(vendor string) []struct{ Method, Path string } {
	s.t.Helper()
	var out struct {
		Requests []struct{ Method, Path string }
	}
	s.call(http.MethodGet, s.Sandbox+"/_sandbox/"+vendor+"/requests", nil, nil, &out)
	return out.Requests
}
