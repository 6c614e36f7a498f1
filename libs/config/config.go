// Package config is the company's folder: which vendor accounts there are, what
// goes from where to where, who owns each field. [Load] reads it, checks it as
// a whole and lists every problem at once, each with its place and what to
// write instead. docs/configuration.md describes the files.
//
//	muster.yaml          the company                    → Company
//	sources/*.yaml       accounts we read from          → Source
//	targets/*.yaml       accounts we write to           → Target
//	integrations/*.yaml  what one target receives, why  → Integration
//	authority.yaml       field → ranked sources         → Authority
//	mappings/*.yaml      rules of package mapping
package config

import (
	"maps"
	"slices"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/secret"
)

// The environments of a company and of an account.
const (
	Production = "production"
	Test       = "test"
	Sandbox    = "sandbox"
)

// Company is a folder that was read and found valid. It is not changed after
// [Load], except by [Company.UseSandbox] before anything is started.
type Company struct {
	Dir         string
	Name        string                    // one token; part of ce-source
	Environment string                    // Production, Test or Sandbox
	Zone        *time.Location            // where a day begins if the work location does not say
	Zones       map[string]*time.Location // by positions[].location
	Version     string                    // 12 hex digits: the same files give the same version

	Sources      map[string]*Source
	Targets      map[string]*Target
	Integrations map[string]*Integration
	Authority    Authority
	Custom       employee.CustomClasses // declared classes of custom.<name>

	Alerts    []AlertRoute
	Guard     Guard
	Retention Retention
	Roles     map[string][]string // role → names of people

	sandbox string // base URL of the sandbox; "" for the real vendors
}

// ZoneOf is the zone in which the days of a work location begin.
func (c *Company) ZoneOf(location string) *time.Location {
	if z, ok := c.Zones[location]; ok {
		return z
	}
	return c.Zone
}

// SourceNames lists the sources in order.
func (c *Company) SourceNames() []string { return slices.Sorted(maps.Keys(c.Sources)) }

// TargetNames lists the targets in order.
func (c *Company) TargetNames() []string { return slices.Sorted(maps.Keys(c.Targets)) }

// For lists the integrations that lead to a target, by name. Those with mode
// off are left out.
func (c *Company) For(target string) []*Integration {
	var out []*Integration
	for _, name := range slices.Sorted(maps.Keys(c.Integrations)) {
		if i := c.Integrations[name]; i.To == target && i.Mode != ModeOff {
			out = append(out, i)
		}
	}
	return out
}

// AlsoTargets lists the targets that are the same vendor account as a source:
// their writes come back through it.
func (c *Company) AlsoTargets(source string) []*Target {
	var out []*Target
	for _, name := range c.TargetNames() {
		if t := c.Targets[name]; t.Source == source {
			out = append(out, t)
		}
	}
	return out
}

// Account is what sources and targets have in common: one login at one vendor.
type Account struct {
	Name         string         // the file's name without .yaml
	Connector    string         // key of the connectors table
	Type         connector.Type // the table's entry
	Environment  string
	BaseURL      string                // without a trailing slash; "" only if the connector calls nobody
	Secrets      map[string]secret.Ref // by the connector's name for them
	Settings     map[string]any        // checked, typed, defaults filled in
	AllowPrivate []string              // host or host:port the dial guard lets through although private
	SandboxHost  string                // host:port of the sandbox, once the account is pointed at it
	Paused       bool

	sandboxName string // folder of the sandbox: the vendor account's name
}

// Source is a configured account we read from.
type Source struct {
	Account
	Webhook  bool          // the vendor pushes to /webhooks/<name>
	Read     bool          // a record is read after a hint
	Schedule time.Duration // between two sweeps; 0: none
	Bulk     int           // so many hints may wait; above it one read of changes replaces single ones; 0: never
	LinkWait time.Duration // how long an unknown key waits for word from our own create
	Settle   time.Duration // quiet time after which pushed changes are judged as one batch; 0: off
	Mapping  *mapping.Mapping

	MappingFile string      // the company's own, relative to the folder; "" if the shipped one stands alone
	Match       []MatchRule // tried in order
}

// What a [MatchRule] compares.
const (
	ByWorkEmail      = "work_email"
	ByEmployeeNumber = "employee_number"
	ByNationalID     = "national_id"
)

// MatchRule recognises a person of whom there is no link yet.
type MatchRule struct {
	By   string // ByWorkEmail, ByEmployeeNumber or ByNationalID
	Sure bool   // true links at once, false asks a person
}

// Kinds of a target.
const (
	KindState = "state" // gets the newest state
	KindEvent = "event" // gets every change in order
)

// What happens to an employee's later changes after one was given up.
const (
	AfterDeadContinue = "continue"
	AfterDeadHold     = "hold"
)

// Target is a configured account we write to.
type Target struct {
	Account
	Source    string // the source that is the same vendor account; "" if none. See [Company.AlsoTargets]
	Kind      string // KindState, KindEvent or "": what the connector's Effects say
	AfterDead string
	Limits    Limits
	Retry     Retry
	Files     FilePlan // of a connector that takes files
}

// FilePlan says when a target's next file is due: what has waited for Every, or
// since before a time of At, goes at once, and so does a full file.
type FilePlan struct {
	Every   time.Duration   // 0: only at the times of At
	At      []time.Duration // times of day in the company's zone, since midnight as a clock shows it
	Most    int             // people's changes in a file, at most MostInFile; 0: as the connector says
	Answers time.Duration   // between two looks for what the receiver says
}

// MostInFile bounds the changes in a file, whoever names a number: its record
// names each member, with what was intended before also twice, and may hold a
// refusal of each, and it is one message of at most 1 MiB.
const MostInFile = 2500

// Limits hold a target's calls back.
type Limits struct {
	Rate     float64       // calls per second; 0: as fast as the vendor lets us
	Burst    int           // calls that may be made at once after a pause
	InFlight int           // calls at the same time
	Timeout  time.Duration // of one call
}

// Retry is how long a failing delivery is tried again.
type Retry struct {
	First  time.Duration // before the second attempt
	Max    time.Duration // longest pause between two
	Budget time.Duration // from the first attempt until it is given up
}

// Modes of an integration.
const (
	ModeOff    = "off"
	ModeShadow = "shadow" // everything but the call
	ModeOn     = "on"
)

// When an integration delivers a change for a later day.
const (
	TimingOnDay = "on_day"
	TimingAhead = "ahead" // at once; the target keeps effective dates itself
)

// What becomes of a person whom an integration's condition no longer holds for.
const (
	OnLeaveDisable = "disable"
	OnLeaveKeep    = "keep"
	OnLeaveHold    = "hold"
)

// Integration is a configured way to one target.
type Integration struct {
	Name    string
	To      string             // a target
	When    *mapping.Condition // nil: everybody
	Fields  []string           // allow-list of canonical paths, checked and sorted
	Mapping *mapping.Mapping   // nil: the body is the minimised canonical tree

	MappingFile string // the company's own, relative to the folder; "" if there is none
	Timing      string
	OnLeave     string
	Mode        string
	Purpose     string
	LegalBasis  string
	Processor   string
	Owner       string
	Runbook     string
}

// Restricted tells whether the allow-list names a field that is sealed in the
// restricted part.
func (i *Integration) Restricted(custom employee.CustomClasses) bool {
	return slices.ContainsFunc(i.Fields, func(f string) bool {
		return slices.ContainsFunc(leavesBelow(f, custom), func(l leaf) bool { return l.class.Restricted() })
	})
}
