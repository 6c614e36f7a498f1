package edi834

import (
	"encoding/json"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	vendorfake "github.com/muster-hr/muster/libs/connectors/edi834/fake"
	"github.com/muster-hr/muster/libs/secret"
)

// carrierProfile is the vendor's example of what differs per carrier.
type carrierProfile struct {
	Interchange struct {
		Sender     string `json:"sender_id"`
		Receiver   string `json:"receiver_id"`
		Qualifiers string `json:"id_qualifiers"`
		Usage      string `json:"usage"`
		TA1        bool   `json:"ta1_requested"`
		Separators struct {
			Element, Component, Repetition, Segment string
			After                                   string `json:"after_segment"`
		} `json:"separators"`
	} `json:"interchange"`
	Sponsor, Payer struct{ Name, FEIN string }
	Master         string            `json:"master_policy"`
	Policy         string            `json:"group_policy_ref_1L"`
	Refs           map[string]string `json:"client_reporting_refs"`
	MemberID       struct {
		From    string `json:"from"`
		Missing string `json:"when_missing"`
	} `json:"member_id"`
	TermStyle      string `json:"term_style"`
	End            string `json:"coverage_end_rule"`
	Change         string `json:"change_date_qualifier"`
	Tier           bool   `json:"coverage_level_on_dependants"`
	Plans          map[string]struct{ HD03, HD04 string }
	PlanMap        map[string]struct{ HD03, HD04 string } `json:"plan_map"`
	Tiers          map[string]string                      `json:"tier_map"`
	Name           string                                 `json:"file_name"`
	SubscriberFrom string                                 `json:"subscriber_id_from"`
}

// profileSettings are the example as settings of an account.
func profileSettings(t testing.TB) map[string]any {
	t.Helper()
	raw, err := os.ReadFile("testdata/vendor/carrier-profile.example.json")
	if err != nil {
		t.Fatal(err)
	}
	var p carrierProfile
	if err := json.Unmarshal(raw, &p); err != nil {
		t.Fatal(err)
	}
	if p.Refs["DX"] != "positions[primary].department" || p.SubscriberFrom != "employee_number" || p.TermStyle != "member_and_every_coverage" || p.Interchange.Separators.After != "\n" {
		t.Fatal("the example says something that this test does not translate")
	}
	plans := map[string]string{}
	for name, hd := range p.PlanMap {
		plans[name] = hd.HD03 + " " + hd.HD04
	}
	out := map[string]any{}
	for name, s := range Type.Settings {
		if s.Default != nil {
			out[name] = s.Default
		}
	}
	maps.Copy(out, map[string]any{
		"user": "hub", "host_key": []string{vendorfake.HostKey()}, "folder": "in", "answers_folder": "out",
		"name": strings.TrimSuffix(p.Name, ".pgp"), "usage": p.Interchange.Usage, "sender": p.Interchange.Sender, "receiver": p.Interchange.Receiver,
		"sender_qualifier": p.Interchange.Qualifiers, "receiver_qualifier": p.Interchange.Qualifiers, "ta1_requested": p.Interchange.TA1,
		"element_separator": p.Interchange.Separators.Element, "component_separator": p.Interchange.Separators.Component,
		"repetition_separator": p.Interchange.Separators.Repetition, "segment_terminator": p.Interchange.Separators.Segment, "line_break": "lf",
		"sponsor_name": p.Sponsor.Name, "sponsor_id": p.Sponsor.FEIN, "payer_name": p.Payer.Name, "payer_id": p.Payer.FEIN,
		"master_policy": p.Master, "policy": p.Policy, "client_refs": map[string]string{"DX": "department"},
		"member_id": p.MemberID.From, "member_id_missing": p.MemberID.Missing, "term_style": "every_coverage", "coverage_end": p.End,
		"change_date": p.Change, "tier_on_dependants": p.Tier, "plan_map": plans, "tier_map": p.Tiers,
		"zone": "America/New_York", "zone_code": "ET", "reference": "{yyyymmdd}-{set}",
	})
	return out
}

// account is the example's, with some settings more.
func account(t testing.TB, kv ...any) connector.Account {
	t.Helper()
	settings := profileSettings(t)
	for i := 0; i < len(kv); i += 2 {
		name, _ := kv[i].(string)
		if kv[i+1] == nil {
			delete(settings, name)
			continue
		}
		settings[name] = kv[i+1]
	}
	return connector.Account{
		Name: "edi834", Environment: "test", BaseURL: "sftp://carrier.example", Settings: settings,
		Secrets: map[string]secret.Value{"private_key": secret.New(vendorfake.ClientKey())},
		Now:     func() time.Time { return time.Date(2026, 3, 2, 14, 15, 0, 0, time.UTC) },
	}
}

func carrier(t testing.TB, kv ...any) *files {
	t.Helper()
	f, err := open(account(t, kv...))
	if err != nil {
		t.Fatal(err)
	}
	return f
}
