package config

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/secret"
)

// Use is what a service does with an account. It decides which of the
// account's secrets it gets.
type Use int

// The uses.
const (
	ForWebhook Use = iota // verify what is pushed: ingress
	ForAPI                // call the vendor: poller, delivery
	ForAll                // both, for tools
)

// Secrets resolves the secrets of an account that this use needs. An optional
// one that is not configured is left out. The error names every reference that
// cannot be resolved, never a value. In the sandbox the secrets are the
// sandbox's own.
func (c *Company) Secrets(getenv func(string) string, a *Account, use Use) (map[string]secret.Value, error) {
	out := map[string]secret.Value{}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(a.Type.Secrets)) {
		u := a.Type.Secrets[name]
		if use == ForWebhook && !u.Webhook || use == ForAPI && !u.API {
			continue
		}
		ref, ok := a.Secrets[name]
		if c.sandbox != "" && (ok || !u.Optional) { // others might switch to another way of logging in
			out[name] = SandboxSecret(a.sandboxName, name)
			if v, own := a.Type.Sandbox.Secrets[name]; own {
				out[name] = secret.New(v)
			}
			continue
		}
		if !ok {
			continue
		}
		v, err := ref.Resolve(getenv)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s of account %s: %w", name, a.Name, err))
			continue
		}
		out[name] = v
	}
	return out, errors.Join(errs...)
}

// Account is what a connector's constructor takes: settings and the secrets
// for this use. The caller adds Transport, Now, Log and Team.
func (c *Company) Account(a *Account, use Use, getenv func(string) string) (connector.Account, error) {
	secrets, err := c.Secrets(getenv, a, use)
	if err != nil {
		return connector.Account{}, err
	}
	return connector.Account{
		Name: a.Name, Company: c.Name, Environment: a.Environment, BaseURL: a.BaseURL,
		Settings: maps.Clone(a.Settings), Secrets: secrets,
	}, nil
}

// UseSandbox points every account that calls a vendor at base/<account>, or at
// its own door where its fake does not speak HTTP, and gives it the sandbox's
// secrets. Doors that are not named are where [Company.PlaceDoors] expects
// them. A target that is the same vendor account as a source shares that
// source's folder. A company of environment production is refused.
func (c *Company) UseSandbox(base string, doors map[string]string) error {
	if c.Environment == Production {
		return fmt.Errorf("company %s is of environment production: it does not run against a sandbox", c.Name)
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" {
		return fmt.Errorf("the sandbox has no usable address")
	}
	if doors, err = c.PlaceDoors(u.Host, doors); err != nil {
		return err
	}
	c.sandbox = strings.TrimRight(base, "/")
	for _, s := range c.Sources {
		c.toSandbox(&s.Account, u.Host, doors)
	}
	for _, t := range c.Targets {
		c.toSandbox(&t.Account, u.Host, doors)
	}
	return nil
}

func (c *Company) toSandbox(a *Account, host string, doors map[string]string) {
	if a.BaseURL == "" && !calls(a.Type) && a.Type.Fake == nil {
		return // the nats connector writes to our own bus
	}
	a.BaseURL, a.SandboxHost = c.sandbox+"/"+a.sandboxName, host
	if a.listens() {
		host = doors[a.sandboxName]
		a.BaseURL = a.Type.Schemes[len(a.Type.Schemes)-1] + "://" + host
	}
	if !slices.Contains(a.AllowPrivate, host) {
		a.AllowPrivate = append(a.AllowPrivate, host)
	}
	for name, v := range a.Type.Sandbox.Settings {
		a.Settings[name] = v
	}
}

// SandboxName is the folder of the sandbox in which the fake of an account is:
// `/<name>/…`. Accounts that are one at the vendor share it.
func (a *Account) SandboxName() string { return a.sandboxName }

// SandboxSecret is what the sandbox takes for a secret of an account. It opens
// nothing but a fake.
func SandboxSecret(account, name string) secret.Value {
	return secret.New("sandbox-" + account + "-" + name)
}
