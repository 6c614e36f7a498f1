package edi834

import (
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/testkit/mappingtest"
)

// TestUsage: a file that enrols people comes from production alone.
func TestUsage(t *testing.T) {
	for _, c := range []struct {
		environment, usage string
		ok                 bool
	}{{"production", "P", true}, {"production", "T", false}, {"test", "T", true}, {"test", "P", false}, {"sandbox", "P", false}, {"", "P", false}, {"test", "", false}} {
		a := account(t, "usage", c.usage)
		a.Environment = c.environment
		if _, err := open(a); (err == nil) != c.ok {
			t.Errorf("%s in %q: %v", c.usage, c.environment, err)
		}
	}
}

// TestSettings: what cannot be is refused when the account is opened, by name.
func TestSettings(t *testing.T) {
	for _, c := range []struct {
		setting string
		value   any
	}{
		{"zone", "Mars/Base"}, {"zone_code", "CET"}, {"name", "834.x12"}, {"name", "a/{sequence}"}, {"name", "{sequence}-{day}"}, {"name", "{sequence}-{set}"},
		{"element_separator", "A"}, {"element_separator", "**"}, {"component_separator", "*"}, {"segment_terminator", "\n"},
		{"sender", "SIXTEEN_LETTERS_"}, {"sender", ""}, {"sponsor_name", strings.Repeat("x", 61)}, {"policy", "A*B"}, {"payer_id", "王"},
		{"plan_map", map[string]string{"x": "LIFE BASIC"}}, {"plan_map", map[string]string{"x": "HLT"}}, {"plan_map", map[string]string{}}, {"plan_map", map[string]string{"x": "HLT A*B"}},
		{"tier_map", map[string]string{"x": "ALL"}}, {"relationship_map", map[string]string{"x": "99"}}, {"reason_map", map[string]string{"x": "birth"}},
		{"client_refs", map[string]string{"0F": "department"}}, {"answers_folder", nil}, {"answers_folder", "in"}, {"set_size", -1},
	} {
		_, err := open(account(t, c.setting, c.value))
		if err == nil || !strings.Contains(err.Error(), c.setting) {
			t.Errorf("%s: %v is taken: %v", c.setting, c.value, err)
		}
	}
	for _, ok := range [][]any{{"plan_map", map[string]string{"x": "HLT PPO 500 1L=A-2", "y": "none"}}, {"answers", "none", "answers_folder", nil}, {"tier_map", map[string]string{"Couple": "ESP"}}} {
		if _, err := open(account(t, ok...)); err != nil {
			t.Errorf("%v: %v", ok, err)
		}
	}
}

// TestTerms: they are the settings.
func TestTerms(t *testing.T) {
	got := carrier(t, "first_number", 900, "answer_within", time.Hour).Terms()
	if want := (connector.FileTerms{FirstNumber: 900, Confirms: true, AnswerWithin: time.Hour}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if carrier(t, "answers", "none").Terms().Confirms {
		t.Error("a carrier who never answers confirms")
	}
}

// TestNumber: what has no nine digits is no control number.
func TestNumber(t *testing.T) {
	ada, err := carrier(t).Piece(connector.Delivery{ID: "e1", Body: tree(t, someone)})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int64{0, -1, maxNumber + 1} {
		if _, err := carrier(t).Build(connector.Numbering{Number: n}, []connector.Piece{ada}); err == nil {
			t.Errorf("%d is taken", n)
		}
	}
	file, err := carrier(t, "name", "{control}-{sequence}-{hhmmss}.x12", "set_size", 1, "element_separator", "|", "repetition_separator", "*").
		Build(connector.Numbering{Number: 7, At: time.Date(2026, 3, 2, 14, 30, 5, 0, time.UTC)}, []connector.Piece{ada, ada})
	if err != nil {
		t.Fatal(err)
	}
	text := string(file.Parts[0].Content)
	if file.Parts[0].Name != "000000007-7-093005.x12" || strings.Count(text, "ST|834|") != 2 || !strings.Contains(text, "GE|2|7~") || file.Starts[1]-file.Starts[0] != perSet {
		t.Errorf("%s, starts %v\n%s", file.Parts[0].Name, file.Starts, text)
	}
}

// TestShippedMapping: an 834 carries what it may, and nothing of it is of work,
// pay or tax.
func TestShippedMapping(t *testing.T) {
	m := shipped(t)
	for _, p := range m.Reads() {
		for _, never := range []string{"name.preferred", "work_email", "compensation", "deductions", "tax_withholdings", "bank_accounts", "employment.last_day_worked", "positions[].title"} {
			if strings.HasPrefix(p, never) {
				t.Errorf("it reads %s", p)
			}
		}
		if c := employee.ClassOf(p, nil); c == "pay" || c == "survey" {
			t.Errorf("%s is of class %s", p, c)
		}
	}
	mappingtest.Cases(t, m, "testdata/map/*.txtar")
}
