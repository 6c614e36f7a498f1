package config_test

import (
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
)

// Answers need no mapping; a company may write one, and then what it sets needs
// an authority like everything else.
func TestSurveySource(t *testing.T) {
	all := types()
	all["form"] = connector.Type{
		Webhook: all["ats"].Webhook, Survey: true, Secrets: map[string]connector.SecretUse{"webhook": {Webhook: true}},
	}
	load := func(files ...txtar.File) (*config.Company, []string) {
		c, problems := config.Load(folder(t, append(files, txtar.File{Name: "sources/pulse.yaml", Data: []byte("connector: form\nsecrets: {webhook: env:PULSE}\n")})...), all)
		var codes []string
		for _, p := range problems {
			codes = append(codes, p.File+" "+p.Code)
		}
		return c, codes
	}
	c, problems := load()
	if len(problems) > 0 || c.Sources["pulse"].Mapping != nil || c.Sources["pulse"].Schedule != 0 {
		t.Fatalf("without a mapping: %v", problems)
	}
	rules := txtar.File{Name: "mappings/pulse.yaml", Data: []byte("fields: {custom.shirt_size: 'answers[question=shirt].value'}\n")}
	if _, problems := load(rules, txtar.File{Name: "authority.yaml", Data: []byte("default: [hris, ats]\ncompensation: {sources: [hris]}\ncustom.shirt_size: [pulse]\n")}); len(problems) > 0 {
		t.Fatalf("with a mapping: %v", problems)
	}
	if _, problems := load(txtar.File{Name: "mappings/pulse.yaml", Data: []byte("fields: {no_field: x}\n")}); len(problems) != 1 || problems[0] != "mappings/pulse.yaml unknown_field" {
		t.Errorf("with a wrong one: %v", problems)
	}
	c, problems = load(rules)
	if len(problems) > 0 || c.Sources["pulse"].Mapping == nil {
		t.Errorf("%v", problems)
	}
}
