package config_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/config"
)

// withDoors is a company with two fakes that do not speak HTTP; one account is
// source and target.
func withDoors(t *testing.T) *config.Company {
	t.Helper()
	dir := func(rest string) []byte {
		return []byte("connector: dir\nbase_url: ldaps://dir.example\nsecrets: {password: env:P}\n" + rest)
	}
	return good(t,
		txtar.File{Name: "targets/zeta.yaml", Data: dir("")},
		txtar.File{Name: "sources/alpha.yaml", Data: dir("schedule: 15m\n")},
		txtar.File{Name: "targets/alpha.yaml", Data: dir("")},
	)
}

// TestDoors: each account that is one at the vendor has one door, where it was
// named, else right behind the sandbox.
func TestDoors(t *testing.T) {
	c := withDoors(t)
	if diff := cmp.Diff([]string{"alpha", "zeta"}, c.Doors()); diff != "" {
		t.Error(diff)
	}
	if err := c.UseSandbox("http://sandbox:8090", map[string]string{"zeta": "127.0.0.1:20001"}); err != nil {
		t.Fatal(err)
	}
	alpha, zeta := &c.Targets["alpha"].Account, &c.Targets["zeta"].Account
	if alpha.BaseURL != "ldap://sandbox:8091" || c.Sources["alpha"].BaseURL != alpha.BaseURL || zeta.BaseURL != "ldap://127.0.0.1:20001" {
		t.Errorf("doors at %s, %s, %s", c.Sources["alpha"].BaseURL, alpha.BaseURL, zeta.BaseURL)
	}
	if got := strings.Join(zeta.AllowPrivate, ","); got != "127.0.0.1:20001" {
		t.Errorf("the dial guard lets through %s", got)
	}
	// What only a fake can say replaces what the file says of its vendor; a
	// secret that is not configured stays so.
	if got := alpha.Settings["pin"]; !slices.Equal(got.([]string), []string{"of the fake"}) {
		t.Errorf("pinned is %v", got)
	}
	secrets, err := c.Secrets(nil, alpha, config.ForAPI)
	if _, has := secrets["key"]; err != nil || has {
		t.Errorf("secrets %v, %v", secrets, err)
	}
	alpha.Secrets["key"] = "env:KEY"
	if secrets, err = c.Secrets(nil, alpha, config.ForAPI); err != nil || secrets["key"].Reveal() != "for the fake" || secrets["password"].Reveal() == "for the fake" {
		t.Errorf("secrets %v, %v", secrets, err)
	}
	if got := c.Targets["iam"].BaseURL; got != "http://sandbox:8090/iam" {
		t.Errorf("a fake that speaks HTTP is at %s", got)
	}
}

// TestDoorsThatCannotBePlaced: without a port to count from.
func TestDoorsThatCannotBePlaced(t *testing.T) {
	c := withDoors(t)
	for _, sandbox := range []string{"", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:http", "127.0.0.1:65534"} {
		if got, err := c.PlaceDoors(sandbox, nil); err == nil {
			t.Errorf("%q gives %v", sandbox, got)
		}
		if _, err := c.PlaceDoors(sandbox, map[string]string{"alpha": "a:1", "zeta": "b:2"}); err != nil {
			t.Errorf("%q, though all are named: %v", sandbox, err)
		}
	}
	if got, err := good(t).PlaceDoors("", nil); err != nil || len(got) != 0 {
		t.Errorf("a company without doors: %v, %v", got, err)
	}
}

func TestParseDoors(t *testing.T) {
	got, err := config.ParseDoors(" a=127.0.0.1:1 ,b=[::1]:2,")
	if err != nil || cmp.Diff(map[string]string{"a": "127.0.0.1:1", "b": "[::1]:2"}, got) != "" {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"a", "a=", "=127.0.0.1:1", "a=127.0.0.1", "a=127.0.0.1:0", "a=127.0.0.1:x", "a=h:1,a=h:2"} {
		if got, err := config.ParseDoors(bad); err == nil {
			t.Errorf("%q gives %v", bad, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		doors := rapid.MapOf(rapid.StringMatching(`[a-z][a-z0-9-]{0,8}`), rapid.StringMatching(`[a-z]{1,8}:[1-9][0-9]{0,3}`)).Draw(t, "doors")
		again, err := config.ParseDoors(config.FormatDoors(doors))
		if err != nil || cmp.Diff(doors, again) != "" {
			t.Errorf("%v, %v", again, err)
		}
	})
}
