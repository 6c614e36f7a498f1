package service

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/testkit"
	"github.com/muster-hr/muster/libs/topology"
)

func acme(environment string) *config.Company {
	return &config.Company{Name: "acme", Environment: environment}
}

func masterKey(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "master.key")
	if err := os.WriteFile(file, []byte(seal.NewMaster().Reveal()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file:" + file
}

// Two services of one company open what the other sealed; a third with another
// master key does not start.
func TestServicesShareTheirKeysOverTheBus(t *testing.T) {
	srv := testkit.JetStream(t)
	testkit.Bus(t, srv, testkit.SmallCompany())
	key := masterKey(t)
	open := func(name, key string) (*Service, error) {
		return Open(t.Context(), Host{Server: srv, Company: acme("production"), Getenv: env("MUSTER_MASTER_KEY", key)}, name)
	}
	transform, err := open("transform", key)
	if err != nil {
		t.Fatal(err)
	}
	defer transform.Close()
	delivery, err := open("delivery-okta", key)
	if err != nil {
		t.Fatal(err)
	}
	defer delivery.Close()
	if a, b := transform.Sealer.Token("key", "bamboohr", "117"), delivery.Sealer.Token("key", "bamboohr", "117"); a != b {
		t.Errorf("tokens differ: %s, %s", a, b)
	}
	sealed, err := transform.Sealer.Seal(t.Context(), "emp1", "id|type", seal.Envelope{Head: []byte(`{}`), Basic: []byte(`{"a":1}`)})
	if err != nil {
		t.Fatal(err)
	}
	opened, err := delivery.Sealer.Open(t.Context(), "emp1", "id|type", sealed, seal.Basic)
	if err != nil || string(opened.Basic) != `{"a":1}` {
		t.Errorf("opened %s, %v", opened.Basic, err)
	}
	stranger, err := open("ingress", masterKey(t))
	if err == nil {
		stranger.Close()
		t.Fatal("a service with another master key started")
	}
	if !strings.Contains(err.Error(), "master key") {
		t.Errorf("the error does not say why: %v", err)
	}
}

func TestKeysOnTheBus(t *testing.T) {
	b := testkit.Bus(t, testkit.JetStream(t), testkit.SmallCompany())
	store := KeysOn(b, "acme")
	subject := topology.Key("basic", "emp1")
	if _, err := store.Get(t.Context(), subject); !errors.Is(err, seal.ErrNoKey) {
		t.Fatalf("before it exists: %v", err)
	}
	// Many create the same key at once: one wins, the others are told.
	var mu sync.Mutex
	var won int
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			err := store.Create(t.Context(), subject, []byte{byte(i)})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errors.Is(err, seal.ErrKeyExists) {
				t.Errorf("create: %v", err)
			}
		})
	}
	wg.Wait()
	if k, err := store.Get(t.Context(), subject); won != 1 || err != nil || len(k) != 1 {
		t.Errorf("%d won, the key is %v, %v", won, k, err)
	}
	if in, err := b.Last(t.Context(), topology.Keys, subject); err != nil || in.Err != nil {
		t.Errorf("a key's message is not a CloudEvent: %v, %v", err, in.Err)
	}
}

// Who is told to stop while it still waits for its broker has nothing to drain.
func TestOpenIsCalledOff(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	host := Host{Company: acme("test"), Getenv: env("MUSTER_MASTER_KEY", masterKey(t), "MUSTER_NATS_URL", "nats://127.0.0.1:1")}
	if _, err := Open(ctx, host, "ingress"); !errors.Is(err, ErrCalledOff) || ExitCode(err) != ExitDone {
		t.Errorf("exit code %d: %v", ExitCode(err), err)
	}
	host.Getenv = env("MUSTER_NATS_URL", "nats://127.0.0.1:1") // that would be wrong at the next start too
	if _, err := Open(ctx, host, "ingress"); ExitCode(err) != ExitConfig {
		t.Errorf("exit code %d: %v", ExitCode(err), err)
	}
}

// A service may be started before the streams are there.
func TestOpenWaitsForTheStreams(t *testing.T) {
	srv := testkit.JetStream(t)
	opened := make(chan error, 1)
	go func() {
		s, err := Open(t.Context(), Host{Server: srv, Company: acme("test"), Getenv: env("MUSTER_MASTER_KEY", "env:KEY", "KEY", seal.NewMaster().Reveal())}, "poller")
		if err == nil {
			s.Close()
		}
		opened <- err
	}()
	select {
	case err := <-opened:
		t.Fatalf("did not wait: %v", err)
	case <-time.After(2 * keysPause):
	}
	testkit.Bus(t, srv, testkit.SmallCompany())
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
}

func TestOpenWithASeed(t *testing.T) {
	seed, public, err := bus.NewUser("ingress")
	if err != nil {
		t.Fatal(err)
	}
	adminSeed, adminPublic, err := bus.NewUser("admin")
	if err != nil {
		t.Fatal(err)
	}
	srv := testkit.JetStream(t, bus.User{Name: "ingress", PublicKey: public}, bus.User{Name: "admin", PublicKey: adminPublic})
	admin := testkit.Connect(t, srv, bus.Options{Name: "admin", NKeySeed: adminSeed})
	if err := bus.Ensure(t.Context(), admin, bus.PlanFor(testkit.SmallCompany())); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ingress.nk")
	if err := os.WriteFile(file, []byte(seed+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	key := masterKey(t)
	hosts := map[string]Host{
		"handed in":            {Server: srv, Seeds: map[string]string{"ingress": seed}, Getenv: env("MUSTER_MASTER_KEY", key)},
		"from a file, by URL":  {Getenv: env("MUSTER_MASTER_KEY", key, "MUSTER_NATS_URL", srv.ClientURL(), "MUSTER_NATS_NKEY", file)},
		"of somebody else":     {Seeds: map[string]string{"poller": seed}, Getenv: env("MUSTER_MASTER_KEY", key, "MUSTER_NATS_URL", srv.ClientURL())},
		"a file that is not":   {Server: srv, Getenv: env("MUSTER_MASTER_KEY", key, "MUSTER_NATS_NKEY", file+"x")},
		"no broker in reach":   {Getenv: env("MUSTER_MASTER_KEY", key)},
		"no folder, no broker": {},
	}
	codes := map[string]int{"of somebody else": ExitEnvironment, "a file that is not": ExitConfig, "no broker in reach": ExitConfig, "no folder, no broker": ExitConfig}
	for name, host := range hosts {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(name, "folder") {
				host.Company = acme("test")
			}
			s, err := Open(t.Context(), host, "ingress")
			if err == nil {
				defer s.Close()
			}
			if ExitCode(err) != codes[name] {
				t.Fatalf("Open = %v, exit code %d, want %d", err, ExitCode(err), codes[name])
			}
			if err != nil && strings.Contains(err.Error(), seed) {
				t.Error("the error holds the seed")
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	srv := testkit.JetStream(t)
	testkit.Bus(t, srv, testkit.SmallCompany())
	key := masterKey(t)
	tests := []struct {
		name        string
		environment string
		env         []string
		want        string // "" opens
	}{
		{"sealing off for a test", "test", []string{"MUSTER_MASTER_KEY", key, "MUSTER_SEALING", "off"}, ""},
		{"sealing off in production", "production", []string{"MUSTER_MASTER_KEY", key, "MUSTER_SEALING", "off"}, "MUSTER_SEALING=off is refused"},
		{"no master key", "test", nil, "MUSTER_MASTER_KEY: is not set"},
		{"a master key inline", "test", []string{"MUSTER_MASTER_KEY", seal.NewMaster().Reveal()}, "written as a reference"},
		{"a master key too short", "test", []string{"MUSTER_MASTER_KEY", "env:K", "K", "c2hvcnQ="}, "32 random bytes"},
		{"unknown durability", "test", []string{"MUSTER_MASTER_KEY", key, "MUSTER_DURABILITY", "hope"}, "MUSTER_DURABILITY: want fsync"},
		{"unknown log level", "test", []string{"MUSTER_MASTER_KEY", key, "MUSTER_LOG_LEVEL", "loud"}, "MUSTER_LOG_LEVEL: want debug"},
		{"a share of traces that is none", "test", []string{"MUSTER_MASTER_KEY", key, "OTEL_TRACES_SAMPLER_ARG", "2"}, "OTEL_TRACES_SAMPLER_ARG"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Open(t.Context(), Host{Server: srv, Company: acme(tt.environment), Getenv: env(tt.env...)}, "audit")
			if err == nil {
				s.Close()
				s.Close() // twice is safe
			}
			if (err == nil) != (tt.want == "") || err != nil && (!errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), tt.want)) {
				t.Fatalf("Open = %v, want %q", err, tt.want)
			}
		})
	}
}

// The broker is among the checks, and so is what is known by name only when asked.
func TestReadinessNamesTheBrokerAndTheOthers(t *testing.T) {
	srv := testkit.JetStream(t)
	testkit.Bus(t, srv, testkit.SmallCompany())
	var out bytes.Buffer
	s, err := Open(t.Context(), Host{Server: srv, Company: acme("test"), Stdout: &out, Getenv: env("MUSTER_MASTER_KEY", masterKey(t))}, "audit")
	if err != nil {
		t.Fatal(err)
	}
	url, stop := started(t, s, nil)
	if code, body := get(t, url+"/readyz"); code != 200 || !strings.Contains(body, `"nats":"ok"`) {
		t.Errorf("%d %s", code, body)
	}
	s.CheckAll(func(context.Context) map[string]error {
		return map[string]error{"ingress": nil, "poller": NotReady("not started")}
	})
	if code, body := get(t, url+"/readyz"); code != 503 || !strings.Contains(body, `"poller":"not started"`) || !strings.Contains(body, `"ingress":"ok"`) {
		t.Errorf("%d %s", code, body)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(out.String(), `"msg":"listening"`) || !strings.Contains(out.String(), `"service":"audit"`) {
		t.Errorf("log: %s", out.String())
	}
}
