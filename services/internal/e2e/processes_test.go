package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// processes starts everything with each service in a process of its own.
func processes(t *testing.T, data string) *system {
	t.Helper()
	return start(t, data, nil, "up", "--sandbox", "--processes", "--config", filepath.Join(root(t), "deploy", "acme"))
}

// TestProcesses follows a hire through programs that share nothing but the
// broker, then kills each of them while others are hired.
func TestProcesses(t *testing.T) {
	s := processes(t, t.TempDir())
	all := s.pids()
	for name, pid := range all {
		if parent := parentOf(t, pid); parent != s.PID {
			t.Errorf("%s is said to be process %d, whose parent is %d", name, pid, parent)
		}
		want := strings.TrimPrefix(name, "delivery-")
		if line := commandOf(t, pid); !strings.Contains(line, want) {
			t.Errorf("%s is said to be process %d, which runs %q", name, pid, line)
		}
	}
	if distinct := slices.Compact(slices.Sorted(maps.Values(all))); len(distinct) != len(all) || len(all) != 13 {
		t.Errorf("%d processes for %d names: %v", len(distinct), len(all), all)
	}

	s.hireOne(planted.given, planted.family)
	s.everywhere(1)
	t.Run("the hire is one trace", func(t *testing.T) { oneTrace(t, s) })
	t.Run("the clock moves everybody", func(t *testing.T) { clockMoves(t, s) })
	t.Run("a secret is known to who needs it alone", func(t *testing.T) { environments(t, s) })
	t.Run("kill -9 of each", func(t *testing.T) { killEach(t, s) })

	last := s.pids()
	begin := time.Now()
	s.stop()
	if d := time.Since(begin); d > 20*time.Second {
		t.Errorf("it took %s to stop", d)
	}
	if _, err := os.Stat(filepath.Join(s.data, "addresses.json")); err == nil {
		t.Error("addresses.json is still there")
	}
	for name, pid := range last {
		if alive(pid) {
			t.Errorf("%s is still running", name)
		}
	}
	if strings.Contains(s.logText(), "was killed") || strings.Contains(s.logText(), "did not drain") {
		t.Error("something did not drain")
	}
}

// clockMoves: a last day that is a week away is past for everybody, in the fake
// HRIS, in transform and at the delivery, though only the sandbox was told.
func clockMoves(t *testing.T, s *system) {
	day := time.Now().AddDate(0, 0, 9)
	if code := s.call(http.MethodPost, s.Sandbox+"/_sandbox/clock", nil, map[string]any{"now": day}, nil); code != http.StatusOK {
		t.Fatalf("the clock answered %d", code)
	}
	for id := range s.vendor("bamboohr").People {
		s.do("bamboohr", "terminate", map[string]any{"id": id, "last_day": day.AddDate(0, 0, -1).Format(time.DateOnly)})
	}
	s.until("the account to end with the last day", 20*time.Second, func() bool {
		for _, p := range s.vendor("okta").People {
			if p["status"] != "DEPROVISIONED" {
				return false
			}
		}
		return true
	})
	if code := s.call(http.MethodPost, s.Sandbox+"/_sandbox/clock", nil, map[string]any{"now": day.AddDate(0, 0, -1)}, nil); code != http.StatusConflict {
		t.Errorf("moving it back was answered %d", code)
	}
}

// environments reads what the kernel knows of each process's environment.
func environments(t *testing.T, s *system) {
	holds := func(name, variable string) bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", s.pids()[name]))
		if err != nil {
			t.Skipf("this system does not show environments: %v", err)
		}
		return strings.Contains("\x00"+string(b), "\x00"+variable+"=")
	}
	for name := range s.pids() {
		database := name == "audit" || name == "console"
		if holds(name, "MUSTER_DATABASE_URL") != database {
			t.Errorf("%s has the database: %t", name, !database)
		}
		if name != "console" && holds(name, "MUSTER_API_TOKEN") {
			t.Errorf("%s has the API token", name)
		}
	}
}

// killEach kills every process once, the broker and the database too, each
// between two hires. The sandbox is spared: it is the vendors.
func killEach(t *testing.T, s *system) {
	before := len(s.vendor("okta").People)
	hires := 0
	hire := func() {
		hires++
		s.hireOne("Killed", "Number"+string(rune('A'+hires/26))+string(rune('A'+hires%26)))
	}
	for _, name := range slices.Sorted(maps.Keys(s.pids())) {
		if name == "sandbox" {
			continue
		}
		was, url := s.pids()[name], s.Services[name].URL
		hire()
		if err := syscall.Kill(was, syscall.SIGKILL); err != nil {
			t.Fatalf("kill %s: %v", name, err)
		}
		hire()
		s.until(name+" to be told with its new number", 20*time.Second, func() bool {
			pid := s.pids()[name]
			return pid != was && alive(pid)
		})
		if got := s.Services[name].URL; got != url {
			t.Errorf("%s moved from %s to %s", name, url, got)
		}
	}
	hire()
	if err := syscall.Kill(s.postmaster(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	hire()
	s.everywhere(before + hires)
	s.until("everybody to be ready again", 60*time.Second, func() bool {
		return s.call(http.MethodGet, s.Console+"/readyz", nil, nil, nil) == http.StatusOK
	})
	for _, v := range []string{"bamboohr", "okta"} {
		creates := map[string]int{}
		for _, w := range s.vendor(v).Writes {
			if w.Op == "create" {
				creates[w.Key]++
			}
		}
		if len(creates) != before+hires {
			t.Errorf("%s: %d people were created for %d hires", v, len(creates), before+hires)
		}
		for key, n := range creates {
			if n != 1 {
				t.Errorf("%s: %s was created %d times", v, key, n)
			}
		}
	}
	var dead struct {
		Items []struct{ Class, Reason string }
	}
	s.until("an answer about dead letters", 20*time.Second, func() bool { return s.api("/dead", &dead) == http.StatusOK })
	if len(dead.Items) > 0 {
		t.Errorf("dead letters: %v", dead.Items)
	}
}

// TestKilledParent: nobody outlives it, and the next start finds nothing in
// its way.
func TestKilledParent(t *testing.T) {
	data := t.TempDir()
	s := processes(t, data)
	s.hireOne("Ada", "Lovelace")
	s.everywhere(1)
	var id string
	s.until("the person", 10*time.Second, func() (ok bool) {
		for key := range s.vendor("bamboohr").People {
			id, ok = s.known("bamboohr:" + key)
		}
		return ok
	})
	old := s.pids()
	s.kill()
	next := processes(t, data) // at once
	for name, pid := range old {
		if alive(pid) && !slices.Contains(slices.Collect(maps.Values(next.pids())), pid) {
			t.Errorf("%s of the killed one is still running", name)
		}
	}
	if code := next.api("/employees/"+id, nil); code != http.StatusOK {
		t.Errorf("the person was forgotten: %d", code)
	}
	next.stop()
}

// pids reads the present numbers: of each service, and of the broker.
func (s *system) pids() map[string]int {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.data, "addresses.json"))
	if err != nil {
		s.t.Fatal(err)
	}
	var now addresses // others read those of the start meanwhile
	if err := json.Unmarshal(b, &now); err != nil {
		s.t.Fatal(err)
	}
	out := map[string]int{"broker": now.NATS.PID}
	for name, svc := range now.Services {
		out[name] = svc.PID
	}
	return out
}

func (s *system) postmaster() int {
	s.t.Helper()
	return childOf(s.t, s.PID, "postgres")
}

// childOf finds a child by its program.
func childOf(t testing.TB, parent int, program string) int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Skipf("this system does not show processes: %v", err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err != nil || parentOf(t, pid) != parent {
			continue
		}
		if name, _, _ := strings.Cut(string(b), "\x00"); filepath.Base(name) == program {
			return pid
		}
	}
	t.Fatalf("process %d has no child that runs %s", parent, program)
	return 0
}

func (s *system) hireOne(given, family string) {
	s.t.Helper()
	s.do("greenhouse", "hire", map[string]any{"given": given, "family": family, "start": time.Now().AddDate(0, 0, 30).Format(time.DateOnly),
		"title": "Engineer", "department": "Engineering", "salary": "70000", "currency": "USD"})
}

// everywhere waits until n people are at each vendor, with the number that
// came back from the HRIS.
func (s *system) everywhere(n int) {
	s.t.Helper()
	seen := ""
	defer func() {
		if s.t.Failed() {
			s.t.Log(seen)
		}
	}()
	s.until(fmt.Sprintf("%d people at each vendor", n), 60*time.Second, func() bool {
		seen = fmt.Sprintf("bamboohr %d, okta %d, payroll %d", len(s.vendor("bamboohr").People), len(s.vendor("okta").People), len(s.vendor("payroll").People))
		numbered := 0
		for _, p := range s.vendor("okta").People {
			if profile, ok := p["profile"].(map[string]any); ok && profile["employeeNumber"] != nil && profile["employeeNumber"] != "" {
				numbered++
			}
		}
		seen += fmt.Sprintf(", with a number in okta %d", numbered)
		return numbered == n && len(s.vendor("bamboohr").People) == n && len(s.vendor("payroll").People) == n
	})
}

// stat is a line of /proc: state and parent of a process.
func stat(pid int) (state string, parent int) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0
	}
	rest := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	parent, _ = strconv.Atoi(rest[1])
	return rest[0], parent
}

// alive: one that has ended and that nobody waited for is not.
func alive(pid int) bool {
	state, _ := stat(pid)
	return state != "" && state != "Z"
}

func parentOf(t testing.TB, pid int) int {
	t.Helper()
	_, parent := stat(pid)
	return parent
}

func commandOf(t testing.TB, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\x00", " ")
}

// TestPrepared: what `muster prepare` writes is enough for a broker of another
// program, as in the compose file, and everything runs on it.
func TestPrepared(t *testing.T) {
	data, company := t.TempDir(), filepath.Join(root(t), "deploy", "acme")
	if code, _, errs := muster(t, nil, "prepare", "--config", company, "--data", data, "--store", filepath.Join(data, "jetstream")); code != 0 {
		t.Fatal(errs)
	}
	opts, err := server.ProcessConfigFile(filepath.Join(data, "nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	opts.Host, opts.Port, opts.HTTPPort, opts.NoSigs, opts.NoLog = "127.0.0.1", -1, 0, true, true
	broker, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	broker.Start()
	t.Cleanup(func() { broker.Shutdown(); broker.WaitForShutdown() }) // after the services, which need it to drain
	if !broker.ReadyForConnections(10 * time.Second) {
		t.Fatal("the broker does not start")
	}
	env := []string{"MUSTER_NATS_URL=" + broker.ClientURL(), "MUSTER_MASTER_KEY=file:" + filepath.Join(data, "master.key")}
	if code, _, errs := muster(t, env, "prepare", "--streams", "--config", company, "--data", data); code != 0 {
		t.Fatal(errs)
	}
	s := start(t, data, env, "up", "--sandbox", "--processes", "--config", company)
	if s.NATS.PID != 0 || s.NATS.URL != broker.ClientURL() {
		t.Errorf("the broker is said to be process %d at %s", s.NATS.PID, s.NATS.URL)
	}
	s.hireOne("Ada", "Lovelace")
	s.everywhere(1)
	s.stop()
}
