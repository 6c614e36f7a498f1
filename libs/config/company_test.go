package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/secret"
)

func TestGoodCompany(t *testing.T) {
	c := good(t)
	if c.Name != "acme" || c.Environment != config.Test || c.Zone.String() != "Europe/Berlin" {
		t.Errorf("company = %s %s %s", c.Name, c.Environment, c.Zone)
	}
	if got := c.ZoneOf("New York").String(); got != "America/New_York" {
		t.Errorf("zone of New York = %s", got)
	}
	if got := c.ZoneOf("Ulm").String(); got != "Europe/Berlin" {
		t.Errorf("zone of a place without one = %s", got)
	}
	if diff := cmp.Diff(employee.CustomClasses{"shirt_size": employee.Basic, "salary_band": employee.Pay}, c.Custom); diff != "" {
		t.Error(diff)
	}
	want := config.Guard{Window: 12 * time.Hour, Allow: map[string]config.Allowance{
		"create": {Count: 50, Percent: 10}, "update": {Count: 500, Percent: 50},
		"disable": {Count: 3, Percent: 1.5}, "delete": {Count: 5, Percent: 1},
	}}
	if diff := cmp.Diff(want, c.Guard); diff != "" {
		t.Error(diff)
	}
	if c.Retention.Raw != 30*24*time.Hour || c.Retention.Audit != 0 {
		t.Errorf("retention = %+v", c.Retention)
	}
	if diff := cmp.Diff([]config.AlertRoute{{Severities: []string{"critical", "warning"}, To: "mailto:hr-systems@acme.example"}, {To: "log"}}, c.Alerts); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string][]string{"approver": {"ada", "grace"}}, c.Roles); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"ats", "hris"}, c.SourceNames()); diff != "" {
		t.Error(diff)
	}
}

func TestSourceDefaultsAndSettings(t *testing.T) {
	c := good(t)
	ats := c.Sources["ats"]
	if !ats.Webhook || ats.Read || ats.Schedule != 0 || ats.LinkWait != time.Minute || ats.Settle != 0 || ats.Paused {
		t.Errorf("ats = %+v", ats)
	}
	if diff := cmp.Diff([]config.MatchRule{{By: config.ByWorkEmail, Sure: true}, {By: config.ByEmployeeNumber, Sure: true}}, ats.Match); diff != "" {
		t.Error(diff)
	}
	hris := c.Sources["hris"]
	if !hris.Webhook || !hris.Read || hris.Schedule != 15*time.Minute || hris.Bulk != 200 {
		t.Errorf("hris = %+v", hris)
	}
	if hris.BaseURL != "https://acme.hris.example" {
		t.Errorf("base URL = %s", hris.BaseURL)
	}
	want := map[string]any{
		"our_id_field": "customMusterId", "page": 50, "thin": true, "window": 2 * time.Minute,
		"fields": []string{"name", "mail"}, "labels": map[string]string{"leave": "On Leave"},
		"signature.header": "X-Signature", "signature": "hex",
	}
	if diff := cmp.Diff(want, hris.Settings); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]any{"our_id_field": "musterId", "page": 100, "thin": false, "window": time.Minute, "signature": "hex"}, c.Targets["hris"].Settings); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]config.MatchRule{{By: config.ByEmployeeNumber, Sure: true}, {By: config.ByNationalID}}, hris.Match); diff != "" {
		t.Error(diff)
	}
	if hris.Mapping == nil || ats.Mapping == nil {
		t.Error("a source has no mapping")
	}
}

func TestTargetsAndIntegrations(t *testing.T) {
	c := good(t)
	iam := c.Targets["iam"]
	if diff := cmp.Diff(config.Limits{Rate: 10, Burst: 20, InFlight: 4, Timeout: 10 * time.Second}, iam.Limits); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(config.Retry{First: time.Second, Max: time.Hour, Budget: 24 * time.Hour}, iam.Retry); diff != "" {
		t.Error(diff)
	}
	if iam.Kind != config.KindState || iam.AfterDead != config.AfterDeadHold || iam.Source != "" || iam.BaseURL != "https://iam.example" {
		t.Errorf("iam = %+v", iam)
	}
	hris := c.Targets["hris"]
	if diff := cmp.Diff(config.Retry{First: 5 * time.Second, Max: 6 * time.Hour, Budget: 72 * time.Hour}, hris.Retry); diff != "" {
		t.Error(diff)
	}
	if hris.Source != "hris" || hris.Kind != "" || hris.AfterDead != config.AfterDeadContinue {
		t.Errorf("hris = %+v", hris)
	}
	if got := c.AlsoTargets("hris"); len(got) != 1 || got[0] != hris {
		t.Errorf("targets of the account hris = %v", got)
	}
	if got := c.AlsoTargets("ats"); got != nil {
		t.Errorf("targets of the account ats = %v", got)
	}
	bi := c.Integrations["hris-to-bi"]
	if bi.Mode != config.ModeShadow || bi.OnLeave != config.OnLeaveDisable || bi.Timing != config.TimingOnDay || bi.Mapping != nil || bi.When != nil {
		t.Errorf("hris-to-bi = %+v", bi)
	}
	if !bi.Restricted(c.Custom) || c.Integrations["hris-to-iam"].Restricted(c.Custom) {
		t.Error("pay is sealed in the restricted part, a work phone is not")
	}
	if diff := cmp.Diff([]string{"compensation", "custom.salary_band", "employment.status"}, bi.Fields); diff != "" {
		t.Error(diff)
	}
	if c.Integrations["ats-to-hris"].When == nil || c.Integrations["hris-to-iam"].Mapping == nil {
		t.Error("a condition or a shipped mapping was lost")
	}
	if got := c.For("iam"); len(got) != 1 || got[0].Name != "hris-to-iam" {
		t.Errorf("integrations to iam = %v", got)
	}
	off := good(t, txtar.File{Name: "integrations/hris-to-iam.yaml", Data: []byte("to: iam\nfields: [name]\nmode: off\n")})
	if got := off.For("iam"); got != nil {
		t.Errorf("an integration that is off leads somewhere: %v", got)
	}
}

func TestRank(t *testing.T) {
	a := config.Authority{Default: []string{"hris", "ats"}, Fields: []config.Ownership{
		{Path: "positions", Sources: []string{"a"}},
		{Path: "positions[].title", Sources: []string{"b"}},
		{Path: "positions[primary]", Sources: []string{"c"}},
		{Path: "phones[work]", Sources: []string{"d"}},
		{Path: "employment", Sources: []string{"e"}},
		{Path: "employment.leave", Sources: []string{"f"}},
		{Path: "custom", Sources: []string{"g"}},
		{Path: "name", Sources: nil},
	}}
	for leaf, want := range map[string][]string{
		"positions[primary].title": {"b"}, "positions[primary].grade": {"c"}, "positions[7].grade": {"a"}, "positions[].grade": {"a"},
		"phones[work]": {"d"}, "phones[home]": {"hris", "ats"}, "phones[]": {"hris", "ats"},
		"employment.leave.start": {"f"}, "employment.status": {"e"},
		"custom.x": {"g"}, "external.ats": {"ats"}, "work_email": {"hris", "ats"}, "name.given": nil,
	} {
		if got := a.Rank(leaf); !slices.Equal(got, want) {
			t.Errorf("Rank(%s) = %v, want %v", leaf, got, want)
		}
	}
}

func TestVersionFollowsContentOnly(t *testing.T) {
	one, same := good(t), good(t)
	if one.Version != same.Version || len(one.Version) != 12 {
		t.Errorf("versions of equal folders: %s, %s", one.Version, same.Version)
	}
	dir := folder(t, txtar.File{Name: "README.md", Data: []byte("words\n")}, txtar.File{Name: "mappings/iam.test/a.txtar", Data: []byte("a case\n")})
	notes, problems := config.Load(dir, types())
	if problems != nil || notes.Version != one.Version {
		t.Errorf("notes and cases changed the version: %v", problems)
	}
	if other := good(t, txtar.File{Name: "authority.yaml", Data: []byte("default: [ats, hris]\n")}); other.Version == one.Version {
		t.Error("another content has the same version")
	}
}

// A mounted Kubernetes volume shows files and folders as links.
func TestLinkedFolder(t *testing.T) {
	real, dir := folder(t), t.TempDir()
	entries, err := os.ReadDir(real)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.Symlink(filepath.Join(real, e.Name()), filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	if _, problems := config.Load(dir, types()); problems != nil {
		t.Error(problems)
	}
}

func TestSecretsByUse(t *testing.T) {
	c := good(t, txtar.File{Name: "sources/hris.yaml", Data: []byte("connector: hris\nbase_url: https://h.example\nsecrets: {webhook: env:HOOK, api_key: env:KEY}\n")})
	getenv := func(name string) string { return map[string]string{"HOOK": "w", "KEY": "k"}[name] }
	for use, want := range map[config.Use]map[string]string{
		config.ForWebhook: {"webhook": "w"}, config.ForAPI: {"api_key": "k"}, config.ForAll: {"webhook": "w", "api_key": "k"},
	} {
		a, err := c.Account(&c.Sources["hris"].Account, use, getenv)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, reveal(a.Secrets)); diff != "" {
			t.Errorf("use %d: %s", use, diff)
		}
		if a.Name != "hris" || a.Company != "acme" || a.Environment != config.Test || a.BaseURL != "https://h.example" || a.Int("page") != 100 {
			t.Errorf("account = %+v", a)
		}
	}
	_, err := c.Account(&c.Sources["hris"].Account, config.ForAll, func(string) string { return "" })
	if err == nil || err.Error() != "api_key of account hris: secret env:KEY: the environment variable is not set\nwebhook of account hris: secret env:HOOK: the environment variable is not set" {
		t.Errorf("unset secrets: %v", err)
	}
}

func reveal(in map[string]secret.Value) map[string]string {
	out := map[string]string{}
	for name, v := range in {
		out[name] = v.Reveal()
	}
	return out
}

func TestUseSandbox(t *testing.T) {
	c := good(t, txtar.File{Name: "targets/hris.yaml", Data: []byte("remove")}, txtar.File{Name: "integrations/ats-to-hris.yaml", Data: []byte("remove")},
		txtar.File{Name: "targets/people.yaml", Data: []byte("connector: hris\nbase_url: https://h.example\naccount: hris\nsecrets: {api_key: env:KEY}\n")})
	if err := c.UseSandbox("http://127.0.0.1:8090/", nil); err != nil {
		t.Fatal(err)
	}
	none := func(string) string { return "" }
	source, err := c.Account(&c.Sources["hris"].Account, config.ForAll, none)
	if err != nil {
		t.Fatal(err)
	}
	target, err := c.Account(&c.Targets["people"].Account, config.ForAPI, none)
	if err != nil {
		t.Fatal(err)
	}
	if source.BaseURL != "http://127.0.0.1:8090/hris" || target.BaseURL != source.BaseURL {
		t.Errorf("one account has two addresses: %s, %s", source.BaseURL, target.BaseURL)
	}
	if source.Secrets["api_key"].Reveal() != target.Secrets["api_key"].Reveal() {
		t.Error("one account has two keys")
	}
	if got := source.Secrets["webhook"].Reveal(); got != config.SandboxSecret("hris", "webhook").Reveal() {
		t.Errorf("webhook secret = %q", got)
	}
	if _, ok := source.Secrets["old_key"]; ok {
		t.Error("an optional secret that nobody configured is there")
	}
	if !slices.Contains(c.Sources["hris"].AllowPrivate, "127.0.0.1:8090") {
		t.Error("the dial guard would refuse the sandbox")
	}
	if bi := c.Targets["team-bi"]; bi.BaseURL != "" {
		t.Errorf("a connector that calls nobody got the address %s", bi.BaseURL)
	}
	production := good(t, txtar.File{Name: "muster.yaml", Data: []byte("company: acme\nenvironment: production\nzone: UTC\ncustom: {salary_band: pay}\n")})
	if production.UseSandbox("http://127.0.0.1:8090", nil) == nil {
		t.Error("a production company runs against a sandbox")
	}
}

// TestSweepIsTheDefault of whoever can be asked for changes, and can be put off.
func TestSweepIsTheDefault(t *testing.T) {
	for text, want := range map[string]struct {
		schedule time.Duration
		bulk     int
	}{
		"":                               {15 * time.Minute, 200},
		"schedule: 1h\nbulk_above: 50\n": {time.Hour, 50},
		"schedule: off\nwebhook: true\nbulk_above: 0\n": {0, 0},
	} {
		c := good(t, txtar.File{Name: "sources/hris.yaml", Data: []byte("connector: hris\nbase_url: https://h.example\nsecrets: {webhook: env:A, api_key: env:B}\n" + text)})
		if got := c.Sources["hris"]; got.Schedule != want.schedule || got.Bulk != want.bulk {
			t.Errorf("%q: every %s, above %d", text, got.Schedule, got.Bulk)
		}
	}
}
