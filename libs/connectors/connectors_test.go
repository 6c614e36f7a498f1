package connectors

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
)

// TestTableIsComplete: each connector can do something, explains what may be
// configured, and has its page with every setting and secret on it.
func TestTableIsComplete(t *testing.T) {
	for name, c := range All {
		t.Run(name, func(t *testing.T) {
			if c.Webhook == nil && c.Source == nil && c.Reader == nil && c.Sink == nil && c.Files == nil {
				t.Error("it can do nothing")
			}
			page, err := os.ReadFile(filepath.Join("..", "..", "docs", "connectors", name+".md"))
			if err != nil {
				t.Fatal(err)
			}
			for _, heading := range []string{"What it does", "Set up", "Settings", "Secrets", "Limits and quirks", "Fields", "What we could not verify"} {
				if !strings.Contains(string(page), "\n## "+heading) {
					t.Errorf("the page has no heading %q", heading)
				}
			}
			for _, need := range c.Needs {
				if !strings.Contains(string(page), "`"+need+"`") {
					t.Errorf("the page does not say that an integration must allow %s", need)
				}
			}
			for setting, s := range c.Settings {
				if s.Doc == "" {
					t.Errorf("%s has no doc", setting)
				}
				if !formed(s) {
					t.Errorf("%s: the default %v is no %s", setting, s.Default, s.Kind)
				}
				if text, ok := s.Default.(string); ok && len(s.Words) > 0 && !slices.Contains(s.Words, text) {
					t.Errorf("%s: the default %q is not one of its words", setting, text)
				}
				if !onPage(string(page), setting) {
					t.Errorf("the page does not mention the setting %s", setting)
				}
			}
			for secret, use := range c.Secrets {
				if use.Doc == "" || (!use.Webhook && !use.API) {
					t.Errorf("the secret %s is held by nobody or not explained", secret)
				}
				if !strings.Contains(string(page), "`"+secret+"`") {
					t.Errorf("the page does not mention the secret %s", secret)
				}
			}
		})
	}
}

// TestWhoeverEndsSomethingKnowsWhen: where access, pay or cover ends by the
// status of an employment, no integration may leave it out.
func TestWhoeverEndsSomethingKnowsWhen(t *testing.T) {
	// A person in HR ends employments at BambooHR, and what http and nats are told
	// is for their readers to say.
	free := []string{"bamboohr", "http", "nats"}
	for name, c := range All {
		ends := c.Sink != nil || c.Files != nil
		if ends && !slices.Contains(free, name) && !slices.Contains(c.Needs, "employment.status") {
			t.Errorf("an integration to %s may leave out employment.status", name)
		}
	}
}

// onPage finds a setting by its name, or by its group's `name.*`.
func onPage(page, setting string) bool {
	group, _, grouped := strings.Cut(setting, ".")
	return strings.Contains(page, "`"+setting+"`") || grouped && strings.Contains(page, "`"+group+".*`")
}

func formed(s connector.Setting) bool {
	if s.Default == nil {
		return true
	}
	ok := false
	switch s.Kind {
	case connector.SettingText:
		_, ok = s.Default.(string)
	case connector.SettingInt:
		_, ok = s.Default.(int)
	case connector.SettingBool:
		_, ok = s.Default.(bool)
	case connector.SettingDuration:
		_, ok = s.Default.(time.Duration)
	case connector.SettingList:
		_, ok = s.Default.([]string)
	case connector.SettingTable:
		_, ok = s.Default.(map[string]string)
	}
	return ok
}
