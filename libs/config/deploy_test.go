package config_test

import (
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connectors"
	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/testkit/golden"
)

const deploy = "../../deploy"

// shipped loads every company that we ship, with the real connectors.
func shipped(t *testing.T) map[string]*config.Company {
	t.Helper()
	files, err := filepath.Glob(deploy + "/*/muster.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("companies: %v (%v)", files, err)
	}
	out := map[string]*config.Company{}
	for _, f := range files {
		c, problems := config.Load(filepath.Dir(f), connectors.All)
		for _, p := range problems {
			t.Errorf("%s/%s", filepath.Dir(f), p)
		}
		out[filepath.Base(filepath.Dir(f))] = c
	}
	if t.Failed() {
		t.FailNow()
	}
	return out
}

func TestShippedCompanies(t *testing.T) {
	companies := shipped(t)
	for name, c := range companies {
		if c.Name != name {
			t.Errorf("deploy/%s is company %s", name, c.Name)
		}
		if c.Environment == config.Production {
			t.Errorf("deploy/%s does not run against the sandbox", name)
		}
	}
	all := companies["all"]
	for name, typ := range connectors.All {
		if _, ok := all.Sources[name]; ok != (typ.Webhook != nil || typ.Source != nil || typ.Answers != nil) {
			t.Errorf("deploy/all has source %s: %t", name, ok)
		}
		if _, ok := all.Targets[name]; ok != (typ.Sink != nil || typ.Files != nil) {
			t.Errorf("deploy/all has target %s: %t", name, ok)
		}
		if (typ.Sink != nil || typ.Files != nil) && len(all.For(name)) != 1 {
			t.Errorf("deploy/all has %d integrations to %s", len(all.For(name)), name)
		}
	}
}

// The demo stands on these: who may see what is restricted, and which account
// is one.
func TestAcme(t *testing.T) {
	c := shipped(t)["acme"]
	for name, i := range c.Integrations {
		if i.Restricted(c.Custom) != (name == "hris-to-payroll" || name == "hris-to-benefits") {
			t.Errorf("%s sees pay or benefits: %t", name, i.Restricted(c.Custom))
		}
	}
	if got := c.Targets["bamboohr"].Source; got != "bamboohr" {
		t.Errorf("target bamboohr is the account of source %q", got)
	}
	if got := c.Authority.Rank("positions[primary].title"); !slices.Equal(got, []string{"bamboohr", "greenhouse"}) {
		t.Errorf("rank of a title = %v", got)
	}
	if got := c.Authority.Rank("compensation.amount"); !slices.Equal(got, []string{"bamboohr"}) {
		t.Errorf("rank of pay = %v", got)
	}
}

// TestShippedAccountsOpen makes every connector of every company, as the
// services do, with the sandbox's secrets: a setting that only the connector
// understands (a template, a path) is wrong here or nowhere.
func TestShippedAccountsOpen(t *testing.T) {
	for name, c := range shipped(t) {
		if err := c.UseSandbox("http://127.0.0.1:8090", nil); err != nil {
			t.Fatal(err)
		}
		open := func(a *config.Account, as string, make bool, do func(connector.Account) error) {
			if !make {
				return
			}
			account, err := c.Account(a, config.ForAll, func(string) string { return "" })
			if err != nil {
				t.Fatal(err)
			}
			account.Transport, account.Now, account.Log, account.Team = http.DefaultTransport, time.Now, slog.New(slog.DiscardHandler), team{}
			if err := do(account); err != nil {
				t.Errorf("deploy/%s: %s of %s: %v", name, as, a.Name, err)
			}
		}
		for _, s := range c.Sources {
			open(&s.Account, "webhook", s.Webhook, func(a connector.Account) error { _, err := s.Type.Webhook(a); return err })
			open(&s.Account, "reader", s.Read, func(a connector.Account) error { _, err := s.Type.Reader(a); return err })
			open(&s.Account, "source", s.Schedule > 0, func(a connector.Account) error { _, err := s.Type.Source(a); return err })
		}
		for _, to := range c.Targets {
			open(&to.Account, "files", to.Type.Files != nil, func(a connector.Account) error { _, err := to.Type.Files(a); return err })
			open(&to.Account, "sink", to.Type.Sink != nil, func(a connector.Account) error { _, err := to.Type.Sink(a); return err })
			open(&to.Account, "check", to.Type.Check != nil, func(a connector.Account) error { _, err := to.Type.Check(a); return err })
		}
	}
}

// team is a log that nobody writes to.
type team struct{ connector.TeamLog }

// TestMappingCases runs the cases beside the companies' own mapping files.
func TestMappingCases(t *testing.T) {
	for name, c := range shipped(t) {
		own := map[string]*mapping.Mapping{}
		for _, s := range c.Sources {
			own[s.MappingFile] = s.Mapping
		}
		for _, i := range c.Integrations {
			own[i.MappingFile] = i.Mapping
		}
		delete(own, "")
		for _, file := range slices.Sorted(maps.Keys(own)) {
			cases := filepath.Join(deploy, name, strings.TrimSuffix(file, ".yaml")+".test")
			if _, err := os.Stat(cases); err != nil {
				t.Errorf("%s/%s has no cases", name, file)
				continue
			}
			t.Run(name+"/"+filepath.Base(file), func(t *testing.T) {
				golden.Each(t, cases+"/*.txtar", func(t *testing.T, g golden.Case) {
					got, err := mapping.RunInput(own[file], g.Archive())
					if !g.WantError(t, "want.err", err) {
						g.Want(t, "want.json", got)
					}
				})
			})
		}
	}
}
