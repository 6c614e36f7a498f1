package up

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/service"
)

// TestStop: vendors that do not answer hold who calls them for the whole drain,
// and all of them no longer than one of them alone.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSystem(Options{Log: io.Discard}, "test")
		begin, ended := time.Now(), map[string]time.Duration{}
		var mu sync.Mutex
		add := func(name string, drain time.Duration) {
			s.services = append(s.services, &running{name: name, last: part{name: name}.last(), stop: func(ctx context.Context) error {
				var err error
				select {
				case <-time.After(drain):
				case <-ctx.Done():
					err = errors.New(name + " did not end in time")
				}
				mu.Lock()
				defer mu.Unlock()
				ended[name] = time.Since(begin)
				return err
			}})
		}
		for _, name := range []string{"console", "audit", "transform", "ingress"} {
			add(name, time.Millisecond)
		}
		for _, name := range []string{"poller", "delivery-okta", "delivery-payroll"} {
			add(name, 15*time.Second)
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if len(ended) != 7 || ended["ingress"] > time.Second || ended["poller"] > 16*time.Second || ended["audit"] <= ended["delivery-okta"] {
			t.Errorf("ended after %v", ended)
		}
	})
}

// TestTokensByReference: addresses.json tells the token, not where it stands.
func TestTokensByReference(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"MUSTER_API_TOKEN": "file:" + file, "MUSTER_APPROVER_TOKEN": "the-token-itself"}
	s := newSystem(Options{Data: t.TempDir(), Log: io.Discard, Getenv: func(name string) string { return env[name] }}, "test")
	if err := s.tokens(); err != nil || s.Addresses.APIToken != "from-file" || s.Addresses.ApproverToken != "the-token-itself" {
		t.Errorf("%q, %q, %v", s.Addresses.APIToken, s.Addresses.ApproverToken, err)
	}
	env["MUSTER_API_TOKEN"] = "env:NOT_SET"
	if err := s.tokens(); !errors.Is(err, service.ErrConfig) || !strings.Contains(err.Error(), "MUSTER_API_TOKEN") {
		t.Errorf("one that is not there: %v", err)
	}
}

// TestBrokerMakesNoMasterKey: the broker's process is not told where the master
// key is. A second one in the data folder would be the one that is backed up.
func TestBrokerMakesNoMasterKey(t *testing.T) {
	data := t.TempDir()
	env := map[string]string{"GOMAXPROCS": "as it is", "GOGC": "as it is"}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := Broker(ctx, Options{Company: &config.Company{Name: "acme"}, Data: data, Log: io.Discard, Getenv: func(name string) string { return env[name] }})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"master.key", "api.token"} {
		if _, err := os.Stat(filepath.Join(data, file)); err == nil {
			t.Errorf("the broker made %s", file)
		}
	}
}
