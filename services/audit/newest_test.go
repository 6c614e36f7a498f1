package audit

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
)

func TestNewest(t *testing.T) {
	target := func(connector, kind string, settings map[string]any) *config.Target {
		return &config.Target{Account: config.Account{Connector: connector, Settings: settings}, Kind: kind}
	}
	files := target("csv", "", nil)
	files.Type = connector.Type{Files: func(connector.Account) (connector.Files, error) { return nil, nil }}
	got := newest(&config.Company{Targets: map[string]*config.Target{
		"okta":     target("okta", "", nil),
		"journal":  target("okta", config.KindEvent, nil),
		"team-bi":  target("nats", "", nil),
		"team-all": target("nats", config.KindState, nil),
		"http":     target("http", "", nil),
		"states":   target("http", "", map[string]any{"state_like": true}),
		"changes":  target("http", "", map[string]any{"state_like": false}),
		"files":    files,
	}})
	want := map[string]bool{"okta": true, "journal": false, "team-bi": false, "team-all": true, "http": true, "states": true, "changes": false, "files": false}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("newest (-want +got):\n%s", d)
	}
}
