package connector

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/secret"
)

// Account is a configured vendor account, as a service hands it to a
// connector's constructor: settings are checked against [Type.Settings] and
// have their defaults, secrets are resolved.
type Account struct {
	Name        string // name of the source or target in the company's folder
	Company     string
	Environment string // production, test or sandbox
	BaseURL     string // without a trailing slash; "" means the connector's own default
	Settings    map[string]any
	Secrets     map[string]secret.Value
	Transport   http.RoundTripper // spans, limits and the dial guard are in it
	Dial        Dial              // for connectors that do not speak HTTP; the dial guard is in it
	Now         func() time.Time
	Log         *slog.Logger
	Team        TeamLog // only for the nats connector
	Dry         bool    // something is explained: nothing may be kept of it, on a disk either
}

// Dial connects to an address that the account may call: "tcp", "host:port".
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Text is a setting as text; "" if unset.
func (a Account) Text(name string) string { s, _ := a.Settings[name].(string); return s }

// Bool is a setting as a switch.
func (a Account) Bool(name string) bool { b, _ := a.Settings[name].(bool); return b }

// Int is a setting as a whole number.
func (a Account) Int(name string) int { n, _ := a.Settings[name].(int); return n }

// Duration is a setting as a length of time.
func (a Account) Duration(name string) time.Duration {
	d, _ := a.Settings[name].(time.Duration)
	return d
}

// List is a setting as a list of texts.
func (a Account) List(name string) []string { l, _ := a.Settings[name].([]string); return l }

// Table is a setting as a table of texts.
func (a Account) Table(name string) map[string]string {
	m, _ := a.Settings[name].(map[string]string)
	return m
}

// TeamLog appends to a downstream team's own stream. The nats connector is the
// only one that uses it.
type TeamLog interface {
	// LastSequence is the ce-sequence of the last event of an employee in the
	// team's stream, 0 if there is none, and the stream sequence it stands at.
	LastSequence(ctx context.Context, team, id string) (sequence, at uint64, err error)
	// Append publishes one event durably if the employee's last one still
	// stands at stream sequence at; fault.Transient if another was first.
	Append(ctx context.Context, team string, e TeamEvent, at uint64) error
}

// TeamEvent is one event for a team, data in clear and already minimised.
type TeamEvent struct {
	ID       string // ce-id
	Type     string
	Employee string // ce-subject and ce-partitionkey
	Sequence uint64 // ce-sequence
	Time     time.Time
	Data     []byte // JSON
}

// SettingKind is the form of a setting in a source's or target's file.
type SettingKind string

// The forms; in [Account.Settings] they are string, int, bool, time.Duration,
// []string and map[string]string.
const (
	SettingText     SettingKind = "text"
	SettingInt      SettingKind = "int"
	SettingBool     SettingKind = "bool"
	SettingDuration SettingKind = "duration"
	SettingList     SettingKind = "list"
	SettingTable    SettingKind = "table"
)

// Uses of an account.
const (
	AsSource = "source"
	AsTarget = "target"
)

// Setting is one setting of a connector.
type Setting struct {
	Kind     SettingKind
	Default  any      // in the form of Kind; nil: unset
	Words    []string // allowed words of a text
	Required bool
	For      string // AsSource or AsTarget: only accounts of that use have it; "": both
	Doc      string // one sentence; says "unverified" where the vendor's behaviour is not documented
}

// SecretUse says what a secret of a connector is for.
type SecretUse struct {
	Webhook  bool // held by ingress
	API      bool // held by poller and delivery
	Optional bool
	Doc      string
}

// Type is a connector as the table lists it: its capabilities (a nil
// constructor is a capability it does not have), what may be configured, its
// shipped mappings and its fake.
type Type struct {
	Webhook func(Account) (Webhook, error)
	Reader  func(Account) (Reader, error)
	Answers func(Account) (Answers, error)
	Source  func(Account) (Source, error)
	Sink    func(Account) (Sink, error)
	Files   func(Account) (Files, error) // a target that takes files has this one in place of Sink
	Check   func(Account) (Check, error)

	// Survey says that the records are answers to surveys, not people: each body
	// is a survey.Response. They are linked to who answered and kept; with a
	// mapping of the company's own they are a partial word about that person too.
	Survey bool

	// Needs are canonical fields that an integration must allow. They are those
	// without which a target would leave people out, or in, and not know it.
	Needs []string

	Settings map[string]Setting
	Secrets  map[string]SecretUse
	BaseURL  string // default; "" means that the file must name one, if it calls anybody

	// Schemes are what base_url may begin with instead of https, for a connector
	// that does not speak HTTP. Its fake is a [fake.Listener], reached by the last.
	Schemes []string

	FromVendor []byte // shipped mapping, record → canonical; nil if a company must write its own
	ToVendor   []byte // shipped mapping, canonical → target

	Fake    func(fake.Options) fake.Vendor
	Sandbox Sandbox // what an account has instead while it is pointed at the fake
}

// Sandbox replaces what an account says about one vendor and the fake cannot
// know: the host key that is pinned, the form of a private key. Only what the
// account has is replaced, a setting also where it has none.
type Sandbox struct {
	Settings map[string]any
	Secrets  map[string]string // they open nothing but a fake
}
