package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/secret"
)

// need says which secrets an account cannot do without.
type need struct {
	webhook, api bool
	as           string // connector.AsSource or AsTarget
}

// account reads what sources and targets have in common, but for settings and
// secrets, which depend on what the account is used for.
func (l *loader) account(name string, s *section) (Account, bool) {
	a := Account{Name: name, sandboxName: name}
	s.require("connector", "bamboohr")
	a.Connector = s.text("connector", "")
	a.Environment = s.word("environment", l.company.Environment, Production, Test, Sandbox)
	l.checkCrossed(a.Environment, s)
	a.Paused = s.flag("paused", false)
	t, known := l.types[a.Connector]
	a.BaseURL = l.baseURL(s, t.Schemes)
	a.AllowPrivate = l.allowPrivate(s)
	if host, ok := loopback(a.BaseURL); ok && !slices.Contains(a.AllowPrivate, host) {
		a.AllowPrivate = append(a.AllowPrivate, host) // the file names it
	}
	if !known && a.Connector != "" {
		names := slices.Sorted(maps.Keys(l.types))
		fix := "write one of " + strings.Join(names, ", ")
		if c, ok := closest(a.Connector, names); ok {
			fix = "write " + c + "; known are " + strings.Join(names, ", ")
		}
		l.add(s.atValue("connector"), CodeUnknownConnector, fix, "there is no connector %q", a.Connector)
	}
	a.Type = t
	if !known { // what depends on the connector cannot be judged
		s.take("settings")
		s.take("secrets")
	}
	return a, known
}

// finish reads settings and secrets, which need the connector.
func (l *loader) finish(a *Account, s *section, n need) {
	a.Settings = l.settings(a, s.sub("settings"), n.as)
	a.Secrets = l.secrets(a, s, s.sub("secrets"), n)
	if a.BaseURL == "" {
		a.BaseURL = strings.TrimSuffix(a.Type.BaseURL, "/")
	}
	if a.BaseURL == "" && n.api && !s.has("base_url") && calls(a.Type) {
		l.add(s.atKey("connector"), CodeMissing, "write `base_url: "+written(a.Type.Schemes)+"…`, the address of your account", "base_url is missing: %s has no address of its own", a.Connector)
	}
}

// calls tells whether a connector calls a vendor: one that knows no
// credential for calls makes none.
func calls(t connector.Type) bool {
	for _, u := range t.Secrets {
		if u.API {
			return true
		}
	}
	return false
}

func (l *loader) checkCrossed(environment string, s *section) {
	company := l.company.Environment
	if company == "" || (environment == Production) == (company == Production) {
		return
	}
	l.add(s.atValue("environment"), CodeCrossed, "use an account of the same kind, in a folder of its own",
		"an account of environment %s in a company of environment %s", environment, company)
}

// written is how the address of a connector's accounts begins.
func written(schemes []string) string {
	if len(schemes) == 0 {
		return "https://"
	}
	return schemes[0] + "://"
}

// baseURL reads the address of an account: https, or http to this machine; for
// a connector that does not speak HTTP, one of its schemes.
func (l *loader) baseURL(s *section, schemes []string) string {
	raw, ok := s.scalar("base_url", "a web address", written(schemes)+"…")
	if !ok {
		return ""
	}
	at := s.atValue("base_url")
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		l.add(at, CodeBadURL, "write "+written(schemes)+"HOST/PATH", "base_url is not a web address")
	case u.User != nil:
		l.add(at, CodeInlineSecret, "take the name and password out and put them under secrets, as env:NAME or file:PATH", "base_url holds a password")
	case u.RawQuery != "" || u.Fragment != "":
		l.add(at, CodeBadURL, "leave out everything from ? or # on", "base_url has a query or fragment")
	case slices.Contains(schemes, u.Scheme):
		return strings.TrimRight(raw, "/")
	case len(schemes) > 0:
		l.add(at, CodeBadURL, "write "+strings.Join(schemes, ":// or ")+"://", "base_url has a scheme that this connector does not speak")
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return strings.TrimRight(raw, "/")
	default:
		l.add(at, CodeBadURL, "write https://; plain http is only for 127.0.0.1, [::1] and localhost", "base_url is not encrypted")
	}
	return ""
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// loopback is the host:port of an address on this machine.
func loopback(base string) (string, bool) {
	u, err := url.Parse(base)
	if err != nil || !isLoopback(u.Hostname()) {
		return "", false
	}
	return u.Host, true
}

// allowPrivate reads hosts, host:port, addresses and networks.
func (l *loader) allowPrivate(s *section) []string {
	var out []string
	for _, it := range s.list("allow_private") {
		if !validHost(it.text) {
			l.add(it.at, CodeBadValue, "write a host, HOST:PORT, an address or a network such as 10.1.0.0/16", "allow_private holds something else")
			continue
		}
		out = append(out, it.text)
	}
	return out
}

func validHost(s string) bool {
	if _, err := netip.ParsePrefix(s); err == nil {
		return true
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	if host, port, err := net.SplitHostPort(s); err == nil {
		return port != "" && host != "" && !strings.ContainsAny(host, "/@ ")
	}
	return !strings.ContainsAny(s, "/@: ")
}

// secrets reads the references and checks them against what the connector uses.
func (l *loader) secrets(a *Account, file, s *section, n need) map[string]secret.Ref {
	names := slices.Sorted(maps.Keys(a.Type.Secrets))
	out := map[string]secret.Ref{}
	for _, name := range s.order {
		v, ok := s.scalar(name, "a reference", "env:NAME")
		if _, used := a.Type.Secrets[name]; !used {
			l.add(s.atKey(name), CodeUnknownSecret, oneOf(name, names), "%s has no secret %s", a.Connector, name)
			continue
		}
		if !ok {
			continue
		}
		ref := secret.Ref(v)
		if err := ref.Check(); err != nil {
			if strings.HasPrefix(v, "vault:") || strings.HasPrefix(v, "store:") {
				l.add(s.atValue(name), CodeBadValue, "write env:NAME or file:PATH", "secrets.%s: references of this kind are not available in this version", name)
			} else {
				l.add(s.atValue(name), CodeInlineSecret, "write env:NAME or file:PATH, put the value there, and replace this secret: it was in a file", "secrets.%s is not a reference", name)
			}
			continue
		}
		out[name] = ref
	}
	var proofs []string // of origin; each may be optional, but one is needed to take webhooks
	for _, name := range names {
		if a.Type.Secrets[name].Webhook {
			proofs = append(proofs, name)
		}
	}
	unproved := n.webhook && len(proofs) > 0 && !slices.ContainsFunc(proofs, s.has)
	for _, name := range names {
		u := a.Type.Secrets[name]
		if unproved && name == proofs[0] {
			u.Optional = false
		}
		if u.Optional || s.has(name) || !(u.Webhook && n.webhook || u.API && n.api) {
			continue
		}
		at := s.at
		if !s.present {
			at = file.atKey("connector")
		}
		l.add(at, CodeMissingSecret, fmt.Sprintf("write `%s: env:NAME` below secrets", name), "%s needs the secret %s%s", a.Connector, name, because(u.Doc))
	}
	return out
}

func because(doc string) string {
	if doc == "" {
		return ""
	}
	return ": " + strings.TrimSuffix(doc, ".")
}
