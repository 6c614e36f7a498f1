package up

import (
	"errors"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connectors"
	"github.com/muster-hr/muster/libs/service"
)

func TestFixed(t *testing.T) {
	for set, want := range map[string]string{"127.0.0.1:0": "127.0.0.1:", "[::1]:0": "[::1]:", ":0": ":"} {
		got, err := fixed(t.Context(), "MUSTER_INGRESS_ADDR", set)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(got, want) || strings.HasSuffix(got, ":0") {
			t.Errorf("%s becomes %s, want %s and a port", set, got, want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().String()
		_, err = fixed(t.Context(), "MUSTER_INGRESS_ADDR", addr)
		if !errors.Is(err, service.ErrEnvironment) || !strings.Contains(err.Error(), "MUSTER_INGRESS_ADDR") || !strings.Contains(err.Error(), addr) {
			t.Errorf("a taken one: %v", err)
		}
		time.AfterFunc(letGo/2, func() { _ = l.Close() }) // an earlier process ends
		if got, err := fixed(t.Context(), "MUSTER_INGRESS_ADDR", addr); err != nil || got != addr {
			t.Errorf("one that becomes free: %s, %v", got, err)
		}
	})
}

// TestPlacesAreKnown: traces and calls go to the console and the fakes by the
// addresses that are chosen before either listens.
func TestPlacesAreKnown(t *testing.T) {
	env := map[string]string{"MUSTER_INGRESS_ADDR": "127.0.0.1:0", "MUSTER_CONSOLE_ADDR": "127.0.0.1:0", "MUSTER_SANDBOX_ADDR": "127.0.0.1:0"}
	company := &config.Company{Name: "acme", Environment: config.Sandbox, Sources: map[string]*config.Source{"hr": {Account: config.Account{Name: "hr", BaseURL: "https://hr.example"}}}}
	s := &System{Options: Options{Company: company, Sandbox: true, Getenv: func(name string) string { return env[name] }}, env: map[string]string{}}
	if err := s.places(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{s.host().ConsoleOTLP, company.Sources["hr"].BaseURL} {
		if _, port, _ := strings.Cut(strings.TrimPrefix(url, "http://"), ":"); strings.HasPrefix(port, "0") || port == "" {
			t.Errorf("nobody is at %s", url)
		}
	}
}

// TestSandboxByVariable: who set MUSTER_SANDBOX expects fakes, so without
// --sandbox nobody is called at all.
func TestSandboxByVariable(t *testing.T) {
	env := map[string]string{"MUSTER_SANDBOX": "http://127.0.0.1:8090"}
	s := &System{Options: Options{Getenv: func(name string) string { return env[name] }}, env: map[string]string{}}
	if err := s.places(t.Context()); !errors.Is(err, service.ErrConfig) || !strings.Contains(err.Error(), "MUSTER_SANDBOX") || !strings.Contains(err.Error(), "--sandbox") {
		t.Errorf("without --sandbox: %v", err)
	}
}

func TestNATSPort(t *testing.T) {
	for _, v := range []string{"nats", "-1", "65536"} {
		s := &System{Options: Options{Program: "muster", Getenv: func(string) string { return v }}, env: map[string]string{}}
		if _, err := s.startBroker(t.Context()); !errors.Is(err, service.ErrConfig) || !strings.Contains(err.Error(), "MUSTER_NATS_PORT") {
			t.Errorf("%s: %v", v, err)
		}
	}
}

// TestFreePorts: a port that is taken is not given, and one that is given is
// none that an outgoing connection could sit on.
func TestFreePorts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	got, err := free(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(got, ":")
	port, err := strconv.Atoi(text)
	if err != nil || got == l.Addr().String() || port < firstPort || port >= lastPort {
		t.Errorf("given %s while %s was taken", got, l.Addr())
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := free(t.Context(), l.Addr().String()); err != nil || got != l.Addr().String() {
		t.Errorf("given %s (%v), though the preferred one is free", got, err)
	}
}

func TestReachable(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:8080": "http://127.0.0.1:8080", "0.0.0.0:8080": "http://127.0.0.1:8080", ":8080": "http://127.0.0.1:8080",
		"[::]:80": "http://127.0.0.1:80", "hub.example:80": "http://hub.example:80",
	} {
		if got := reachable(addr); got != want {
			t.Errorf("%s is reached at %s, want %s", addr, got, want)
		}
	}
}

// TestDoors: where the fakes listen that do not speak HTTP is chosen once for
// all services: right behind the sandbox, or elsewhere if that port is taken,
// or as set by hand.
func TestDoors(t *testing.T) {
	dir := t.TempDir()
	const ldap = "connector: ldap\nbase_url: ldaps://x.example\nsecrets: {password: env:P}\nsettings: {bind_dn: cn=h, base_dn: dc=x, people_dn: dc=x}\n"
	for name, text := range map[string]string{
		"muster.yaml": "company: acme\nenvironment: sandbox\nzone: Europe/Berlin\n", "authority.yaml": "default: hr\n",
		"sources/hr.yaml":     "connector: bamboohr\nbase_url: https://acme.bamboohr.com\nsecrets: {webhook: env:W, api_key: env:A}\n",
		"targets/north.yaml":  ldap,
		"targets/south.yaml":  ldap,
		"targets/beside.yaml": ldap,
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, problems := config.Load(dir, connectors.All)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var sandbox string
	var l net.Listener // where the first door would be
	for l == nil {
		port, err := anyPort(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sandbox = "127.0.0.1:" + strconv.Itoa(port)
		l, _ = net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port+1)) // taken by chance: another pair
	}
	defer l.Close()
	s := &System{Options: Options{Company: c, Sandbox: true, Getenv: func(name string) string {
		return map[string]string{"MUSTER_SANDBOX_ADDR": sandbox, "MUSTER_SANDBOX_DOORS": "south=127.0.0.1:20777"}[name]
	}}, env: map[string]string{}}
	if err := s.places(t.Context()); err != nil {
		t.Fatal(err)
	}
	doors, err := config.ParseDoors(s.env["MUSTER_SANDBOX_DOORS"])
	if err != nil || len(doors) != 3 || doors["south"] != "127.0.0.1:20777" || doors["beside"] == l.Addr().String() {
		t.Errorf("doors %v (%v)", doors, err)
	}
	if places := slices.Sorted(maps.Values(doors)); len(slices.Compact(places)) != 3 {
		t.Errorf("two doors at one place: %v", doors)
	}
	for name, addr := range doors {
		if got := c.Targets[name].BaseURL; got != "ldap://"+addr {
			t.Errorf("%s is looked for at %s, listens at %s", name, got, addr)
		}
	}
}
