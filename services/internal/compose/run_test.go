package compose

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/testkit"
	"github.com/muster-hr/muster/libs/testkit/debian"
)

// inside is set in the copy of this test that runs in a network of its own.
const inside = "MUSTER_TEST_NETWORK"

// TestTheComposeFileRuns starts the company as the compose file says, without a
// container engine: each service is its static program alone in a root folder
// that it cannot write to, as user 65532 without capabilities, in a network of
// its own in which the others have their names. The broker is nats-server from
// source; Postgres is the machine's, and the collector a counter, behind their
// names. A hire then goes all the way, and everybody stops in time.
//
// It needs Linux and what only root may do; where networks cannot be made it is
// skipped, since that is the machine's decision and not a missing program. The
// test runs a second time inside a network that ends with it, so nothing is left
// on the machine.
func TestTheComposeFileRuns(t *testing.T) {
	if os.Getenv(inside) != "" {
		composed(t)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("networks and root folders for services are made by root only")
	}
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin") // ip, chroot
	if _, err := ip.Path(); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("unshare", "--net", "--mount", "sh", "-c", "mount --make-rprivate / && ip link add hub type bridge").CombinedOutput(); err != nil {
		t.Skipf("this machine lets nobody make networks and mounts: %s", out)
	}
	testkit.Postgres(t) // fetches the programs where the machine has none: there is no way out from inside
	programs := t.TempDir()
	build := exec.Command("go", "build", "-o", programs, "github.com/muster-hr/muster/services/...", "github.com/nats-io/nats-server/v2")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	again := exec.Command("unshare", "--net", "--mount", os.Args[0], "-test.run=^TestTheComposeFileRuns$", "-test.v", "-test.timeout=5m")
	again.Env = append(os.Environ(), inside+"="+programs)
	out, err := again.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestTheComposeFileRuns")) {
		t.Fatalf("%v\n%s", err, out)
	}
}

var ip = debian.Program{Name: "ip", Package: "iproute2"}

func composed(t *testing.T) {
	n := &network{t: t, p: project(t), dir: t.TempDir(), address: map[string]string{}, started: map[string]*container{}}
	n.bridge()
	n.once("keys")
	spans := n.foreign()
	n.start("nats")
	n.once("streams")
	for _, name := range staying(t) {
		n.start(name)
	}
	deadline := time.Now().Add(60 * time.Second)
	for _, name := range staying(t) {
		for !n.healthy(name) {
			if time.Now().After(deadline) {
				t.Fatalf("%s is not healthy", name)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}

	n.post("sandbox", "/_sandbox/greenhouse/do/hire", map[string]any{"given": "Ada", "family": "Lovelace", "start": time.Now().AddDate(0, 0, 30).Format(time.DateOnly),
		"title": "Engineer", "department": "Engineering", "salary": "70000", "currency": "USD"})
	n.post("sandbox", "/_sandbox/elections/do/drop", map[string]any{"columns": []string{"employee_number"}, "rows": []any{}})
	n.until("the hire at every vendor, with the number that came back from the HRIS", func() bool {
		numbered := false
		for _, p := range n.people("okta") {
			profile, _ := p["profile"].(map[string]any)
			number, _ := profile["employeeNumber"].(string)
			numbered = numbered || number != ""
		}
		return numbered && len(n.people("bamboohr")) == 1 && len(n.people("payroll")) == 1
	})
	n.until("a file read over the sandbox's other door", func() bool {
		var calls struct{ Requests []struct{ Path string } }
		n.get("sandbox", "/_sandbox/elections/requests", "", &calls)
		return len(calls.Requests) > 0
	})
	token, err := os.ReadFile(filepath.Join(n.dir, "keys", "api.token"))
	if err != nil {
		t.Fatal(err)
	}
	n.until("the hire in the console", func() bool {
		var found struct{ Items []struct{ ID string } }
		for id := range n.people("bamboohr") {
			n.get("console", "/api/v1/employees?external=bamboohr:"+id, string(bytes.TrimSpace(token)), &found)
		}
		return len(found.Items) == 1
	})
	n.until("spans at the collector", func() bool { return spans.Load() > 0 })
	n.another()
	n.stop()
}

// another gives the company one more target: keys writes its user down, and the
// broker, which runs on, lets it in once it is told to read its file again.
func (n *network) another() {
	n.t.Helper()
	const target = "team-pay"
	folder := filepath.Join(n.dir, "company")
	err := os.CopyFS(folder, os.DirFS(filepath.Join(root, "deploy", "acme")))
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "targets", target+".yaml"), []byte("connector: nats\nsettings: {team: pay}\n"), 0o644)
	}
	if err != nil {
		n.t.Fatal(err)
	}
	keys := n.p.Services["keys"]
	keys.Volumes = slices.Clone(keys.Volumes)
	for i, v := range keys.Volumes {
		if v.Target == "/company" {
			keys.Volumes[i].Source = folder
		}
	}
	n.p.Services["keys-again"] = keys
	n.once("keys-again")
	seed, err := os.ReadFile(filepath.Join(n.dir, "keys", "nkeys", "delivery-"+target+".nk"))
	if err != nil {
		n.t.Fatal(err)
	}
	known := func() bool {
		b, err := bus.Connect(n.t.Context(), bus.Options{URL: "nats://" + n.address["nats"] + ":4222", Name: "delivery-" + target, NKeySeed: string(bytes.TrimSpace(seed))})
		if err != nil {
			return false
		}
		if err := b.Close(); err != nil {
			n.t.Error(err)
		}
		return true
	}
	if known() {
		n.t.Error("the broker knows a user before it was told: docs/operating.md says otherwise")
	}
	if err := n.started["nats"].cmd.Process.Signal(syscall.SIGHUP); err != nil {
		n.t.Fatal(err)
	}
	n.until("the broker to know the new user", known)
	for _, name := range staying(n.t) {
		if !n.healthy(name) {
			n.t.Errorf("%s is not healthy after the broker read its users again", name)
		}
	}
}
