// Package explain tells what Muster would make of one message of a vendor, and
// what it would send to a target for one employee, without starting anything:
// no broker, no database, no call.
//
//	Source   bytes of a webhook or of a polled answer ──► Webhook.Open, Mapping.Observe, rules of the stages
//	Target   an employee ──► allow-list, Mapping.Body, Sink against a recorder
//
// It runs the code that the services run. What depends on what is already
// known, such as who a record belongs to, is told as far as the company's
// folder decides it.
package explain

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/secret"
)

// ErrInput is what the caller gave: a name that is not in the company's folder,
// a file that cannot be read as what it should be.
var ErrInput = errors.New("invalid input")

// given makes references of an account resolve to values that were given
// instead, and hands back the account and the environment that do it.
func given(a config.Account, values map[string]string, getenv func(string) string) (config.Account, func(string) string, error) {
	a.Secrets = maps.Clone(a.Secrets)
	if a.Secrets == nil {
		a.Secrets = map[string]secret.Ref{}
	}
	for name := range values {
		if _, known := a.Type.Secrets[name]; !known {
			return a, nil, fmt.Errorf("%w: the connector %s has no secret %q; it has %s", ErrInput, a.Connector, name, strings.Join(slices.Sorted(maps.Keys(a.Type.Secrets)), ", "))
		}
		a.Secrets[name] = secret.Ref("env:" + givenPrefix + name)
	}
	return a, func(variable string) string {
		if name, ok := strings.CutPrefix(variable, givenPrefix); ok {
			return values[name]
		}
		return getenv(variable)
	}, nil
}

// givenPrefix cannot stand in the name of a real variable.
const givenPrefix = "given="

// open builds one capability of a source's connector.
func open[T any](c *config.Company, a config.Account, use config.Use, getenv func(string) string, build func(connector.Account) (T, error), with func(*connector.Account)) (T, error) {
	var none T
	account, err := c.Account(&a, use, getenv)
	if err != nil {
		return none, err
	}
	with(&account)
	return build(account)
}
