package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const everybody = 1000

// boss is the manager of a person: a tree, in which one has hundreds of
// reports; the first one manages himself, as in some systems the head does.
func boss(n int) int {
	switch {
	case n == 1:
		return 1
	case n > 700:
		return 2
	}
	return (n + 6) / 8
}

func digits(n int) string { return fmt.Sprintf("%05d", n) }

// TestManagers imports people of whom everyone comes before their manager, and
// then looks at every target's own state: each reference to a manager is there
// and is the right one. Then a manager is renamed in the directory.
func TestManagers(t *testing.T) {
	s := start(t, t.TempDir(), nil, "up", "--sandbox", "--config", filepath.Join("testdata", "managers"))
	began := time.Now()
	drop := func(family func(n int) string) {
		rows := []map[string]any{}
		for n := everybody; n >= 1; n-- {
			rows = append(rows, map[string]any{
				"number": digits(n), "given": "P" + digits(n), "family": family(n), "email": family(n) + digits(n) + "@managers.example",
				"department": "D", "manager": digits(boss(n)),
			})
		}
		s.do("roster", "drop", map[string]any{"columns": []string{"number", "given", "family", "email", "department", "manager"}, "rows": rows})
	}
	drop(func(int) string { return "x" })

	// How each target names a person, what number they have and whom they name.
	targets := map[string]func(key string, p map[string]any) (number, name, manager string){
		"okta": func(key string, p map[string]any) (string, string, string) {
			return text(p, "profile", "employeeNumber"), key, text(p, "profile", "managerId")
		},
		"app": func(key string, p map[string]any) (string, string, string) {
			const enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
			return text(p, enterprise, "employeeNumber"), key, text(p, enterprise, "manager", "value")
		},
		"directory": func(_ string, p map[string]any) (string, string, string) {
			return text(p, "employeeNumber"), strings.ToLower(text(p, "dn")), strings.ToLower(text(p, "manager"))
		},
	}
	wrong := map[string]string{}
	var looked time.Time
	all := func() bool {
		if time.Since(looked) < time.Second {
			return false
		}
		defer func() { looked = time.Now() }()
		for target := range targets { // asking for a state is dear while there is much to do
			if consumer := "delivery-" + target; s.metric(consumer, fmt.Sprintf("muster_lag_messages{consumer=%q} 0", consumer)) == "" {
				return false
			}
		}
		done := true
		for target, read := range targets {
			names, managers := map[string]string{}, map[string]string{}
			for key, p := range s.vendor(target).People {
				number, name, manager := read(key, p)
				names[number], managers[number] = name, manager
			}
			set := 0
			for n := 1; n <= everybody; n++ {
				if name := names[digits(boss(n))]; name != "" && managers[digits(n)] == name {
					set++
				}
			}
			wrong[target] = fmt.Sprintf("%d people, %d managers", len(names), set)
			done = done && len(names) == everybody && set == everybody
		}
		return done
	}
	defer func() { t.Log(wrong) }()
	s.until("every manager at every target", 4*time.Minute, all)
	t.Logf("%d people with their managers at %d targets after %s", everybody, len(targets), time.Since(began).Round(time.Millisecond))
	for target := range targets {
		writes := map[string]int{}
		for _, w := range s.vendor(target).Writes {
			writes[w.Op]++
		}
		t.Logf("%s: %v", target, writes)
		if writes["create"] != everybody {
			t.Errorf("%s: %d creates of %d people", target, writes["create"], everybody)
		}
	}

	drop(func(n int) string {
		if n == 2 {
			return "renamed"
		}
		return "x"
	})
	s.until("the manager's new name", 30*time.Second, func() bool {
		for _, p := range s.vendor("directory").People {
			if text(p, "employeeNumber") == digits(2) {
				return strings.Contains(text(p, "dn"), "renamed")
			}
		}
		return false
	})
	s.until("every manager at every target after a rename", 60*time.Second, all)
	s.stop()
}

// text is a text deep in an object, "" if there is none.
func text(v any, path ...string) string {
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	if list, ok := v.([]any); ok && len(list) == 1 {
		v = list[0]
	}
	s, _ := v.(string)
	return s
}
