package config_test

import (
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
)

// types is a connectors table with one connector of each make.
func types() map[string]connector.Type {
	webhook := func(connector.Account) (connector.Webhook, error) { return nil, nil }
	reader := func(connector.Account) (connector.Reader, error) { return nil, nil }
	source := func(connector.Account) (connector.Source, error) { return nil, nil }
	sink := func(connector.Account) (connector.Sink, error) { return nil, nil }
	someFake := func(fake.Options) fake.Vendor { return nil }
	return map[string]connector.Type{
		"hris": { // everything, and an address of the company's own
			Webhook: webhook, Reader: reader, Source: source, Sink: sink, Fake: someFake,
			Secrets: map[string]connector.SecretUse{
				"webhook": {Webhook: true},
				"api_key": {API: true, Doc: "Key of the user we act as."},
				"old_key": {API: true, Webhook: true, Optional: true},
			},
			Settings: map[string]connector.Setting{
				"our_id_field":     {Kind: connector.SettingText, Default: "musterId"},
				"page":             {Kind: connector.SettingInt, Default: 100},
				"thin":             {Kind: connector.SettingBool, Default: false},
				"window":           {Kind: connector.SettingDuration, Default: time.Minute},
				"fields":           {Kind: connector.SettingList},
				"labels":           {Kind: connector.SettingTable},
				"signature.header": {Kind: connector.SettingText},
				"signature":        {Kind: connector.SettingText, Words: []string{"hex", "base64"}, Default: "hex"},
			},
			FromVendor: []byte(shippedSource),
		},
		"ats": { // pushes, and that is all
			Webhook: webhook, Fake: someFake,
			Secrets:    map[string]connector.SecretUse{"webhook": {Webhook: true}},
			FromVendor: []byte(shippedSource),
		},
		"poll": { // is asked, and ships no mapping
			Source:  source,
			Secrets: map[string]connector.SecretUse{"token": {API: true}},
			BaseURL: "https://poll.example",
		},
		"dir": { // speaks no HTTP: its fake has a door of its own
			Source: source, Sink: sink, Fake: someFake, Schemes: []string{"ldaps", "ldap"},
			Secrets:    map[string]connector.SecretUse{"password": {API: true}, "key": {API: true, Optional: true}},
			Settings:   map[string]connector.Setting{"pin": {Kind: connector.SettingList}},
			Sandbox:    connector.Sandbox{Settings: map[string]any{"pin": []string{"of the fake"}}, Secrets: map[string]string{"key": "for the fake"}},
			FromVendor: []byte(shippedSource), ToVendor: []byte(shippedTarget),
		},
		"drop": { // takes files, and lays some down
			Source: source, Files: func(connector.Account) (connector.Files, error) { return nil, nil }, Fake: someFake, BaseURL: "https://drop.example",
			Needs:   []string{"employment.status"},
			Secrets: map[string]connector.SecretUse{"key": {API: true}},
			Settings: map[string]connector.Setting{
				"pattern": {Kind: connector.SettingText, Required: true, For: connector.AsSource},
				"number":  {Kind: connector.SettingInt, Default: 1, For: connector.AsTarget},
				"folder":  {Kind: connector.SettingText},
			},
			FromVendor: []byte(shippedSource), ToVendor: []byte(shippedTarget),
		},
		"iam": { // is written to, has an address and a mapping
			Sink: sink, Fake: someFake, BaseURL: "https://iam.example/",
			Secrets:  map[string]connector.SecretUse{"token": {API: true}},
			ToVendor: []byte(shippedTarget),
		},
		"bus": { // calls nobody
			Sink: sink,
			Settings: map[string]connector.Setting{
				"team": {Kind: connector.SettingText, Required: true, Doc: "The downstream team."},
			},
		},
	}
}

const (
	shippedSource = "fields: {name.given: first, work_email: mail, employment.status: status}\n"
	shippedTarget = "fields: {login: work_email, nick: name.preferred, number: employee_number}\n"
)
