// Package connector is the contract with the outside: what code that speaks
// one vendor's protocol promises to the services.
//
//	vendor ──push──► Webhook ──► Record, hint     (ingress)
//	vendor ◄──ask──  Reader, Source ──► Record    (poller)
//	vendor ◄──write─ Sink: Find, Apply            (delivery)
//
// A connector verifies, reads, finds, writes and checks. It never maps fields
// (mapping files do), never settles a message, never talks to the bus. Each
// capability is small; a connector has those that its vendor can.
package connector

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Kind says what a vendor's message is.
type Kind string

// The kinds.
const (
	KindRecord  Kind = "record"  // carries values: goes to RAW
	KindHint    Kind = "hint"    // only says "look at this key": goes to HINTS
	KindPing    Kind = "ping"    // a test of the webhook: answered, not stored
	KindIgnored Kind = "ignored" // authentic, but nothing we follow: answered, not stored
)

// Scale tells which versions may be compared with each other.
type Scale string

// The scales. Only versions of equal scale compare.
const (
	ScaleSequence Scale = "sequence" // a number the vendor counts up
	ScaleTime     Scale = "time"     // the vendor's time of the change, RFC 3339 UTC
	ScaleRead     Scale = "read"     // when we began to read, RFC 3339 UTC
)

// Version orders the records of one key. The zero value is "no version".
type Version struct {
	Scale Scale  `json:"scale,omitempty"`
	Value string `json:"value,omitempty"`
}

// Valid tells whether a version can be ordered at all: a whole number that fits
// 64 bits, or an RFC 3339 time. No version is valid too.
func (v Version) Valid() bool {
	switch v.Scale {
	case "":
		return v.Value == ""
	case ScaleSequence:
		_, err := strconv.ParseUint(v.Value, 10, 64)
		return err == nil
	case ScaleTime, ScaleRead:
		_, err := time.Parse(time.RFC3339Nano, v.Value)
		return err == nil
	}
	return false
}

// Record is what a vendor gave us about one key.
type Record struct {
	Kind    Kind            // what it is
	Key     string          // the vendor's id of the person, as text
	Event   string          // the vendor's word for what happened; "" if none
	ID      string          // what a repeat of the same message has equal: vendor event id or a hash
	Version Version         // zero if the vendor gives none
	Partial bool            // only some paths: laid over the last whole record
	Body    json.RawMessage // the record as JSON, bytes intact where the vendor sent JSON
	Deleted bool            // the vendor says the key is gone
}

// Request is a webhook call as it arrived.
type Request struct {
	Method string
	URL    string // path and query
	Header http.Header
	Body   []byte    // raw, before any decoding
	Now    time.Time // for replay windows
}

// Response is what the vendor wants to hear. Zero status means 202; a nil body
// means the ids of what was stored.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Webhook verifies and opens what a vendor pushed. Used by ingress.
//
// Open returns an [Unauthentic] error when the call is not the vendor's (the
// response then says how to refuse), a fault of class Record when it is
// authentic but unreadable, else the records in it. It calls nobody.
type Webhook interface {
	Open(ctx context.Context, r Request) ([]Record, Response, error)
}

// Reader reads one record. Used by the poller after a hint, and for read-back.
// A key that the vendor does not know gives a Record with Deleted set.
type Reader interface {
	Read(ctx context.Context, key string) (Record, error)
}

// Answers opens the body of a polled answer, as saved or as received, into
// records. Used by the poller and by `muster explain --poll`.
type Answers interface {
	OpenAnswer(body []byte, now time.Time) ([]Record, error)
}

// Cursor is a vendor's place in its changes; "" means from the beginning.
type Cursor string

// Page is one answer of a Source.
type Page struct {
	Records  []Record   // records or hints
	Next     Cursor     // where to go on; stored before it is used
	More     bool       // false: nothing more for now
	Frame    Frame      // the full read that the page belongs to; zero: none
	Rejected []Rejected // what came and is no record, for a person to look at
}

// Frame says that a page belongs to a full read: one that lists everybody the
// account knows. Absence is judged by full reads alone, and only by complete
// ones; so who is not sure says partial. The zero value is a page of changes.
//
// A page that comes again after a crash has the same frame. A read that begins
// while another has not ended replaces it: the other one has failed.
type Frame struct {
	Read  string // the same on all pages of a read and on no page of another, nothing personal; "" means no full read
	Begin bool   // this page is the first
	End   Ending // this page is the last, and how the read ended; "" means that pages follow
}

// Ending is how a full read ended.
type Ending string

// The endings.
const (
	Complete Ending = "complete" // everybody was listed, and every record of it is here
	Partial  Ending = "partial"  // what is here is right, but somebody may be missing
	Failed   Ending = "failed"   // it was given up
)

// Rejected is something that a source gave and that cannot be a record: a row
// of a file, or a file. The poller keeps it as a dead letter. It holds no value
// of a person but the key, which is sealed.
type Rejected struct {
	Key    string // the key that it would have had; "" if that cannot be told
	ID     string // what a repeat of it has equal
	Reason string // short and countable: "too_few_fields"
	Path   string // where: "lines[4].birth_date"; "" for the whole
	Rule   string // what it was part of, in a form that a person finds again: "sha256 8fddb5f515e3"
}

// Source pages through what changed after a cursor. Used by the poller.
type Source interface {
	Changes(ctx context.Context, after Cursor) (Page, error)
}

// Covers is what a Source has besides if its account's hints may tell of more
// than its changes do. False: a read of changes never stands for hints, however
// many wait.
type Covers interface{ Covers() bool }

// Refs is a connector's own memory about one employee at its vendor: ids by
// name. It is saved with every attempt and handed back with the next.
type Refs map[string]string

// Delivery is what an employee shall look like at the target. What Body does
// not say stays there as it is, also what Before says; null clears, and a list
// is said as a whole.
type Delivery struct {
	ID        string         // our employee id
	Event     string         // the CloudEvents id behind it; the idempotency key is derived from it
	Type      string         // event type
	Version   uint64         // the employee's version
	Previous  uint64         // the last version that is done with, also one that was given up or never sent; 0 if none
	Status    string         // employment.status
	Was       string         // the status that was applied last, "" if none
	Body      map[string]any // the mapped fields, minimised: exactly what may be sent
	Before    map[string]any // what was applied last, or may have come after it; nil if unknown: lets a sink send differences
	Refs      Refs           // from the last attempt; nil before the first
	Match     Match          // how to recognise the person, minimised
	Changed   []string       // canonical paths that changed and that this target may see
	Effective string         // day from which the change holds, "" if it is not known
	Since     time.Time      // when Find is called after an interrupted attempt: its time
	TraceID   string
}

// Match is what a sink may look for to find a person again: allowed fields only.
type Match struct {
	EmployeeNumber string
	WorkEmail      string
	Username       string
}

// Found is one candidate that a Find gave.
type Found struct {
	Refs Refs
	Sure bool // matched by our id or a unique key; an unsure one is for a person to decide
}

// Progress saves refs in the middle of a write that takes several calls, so
// that a crash resumes instead of repeating. It returns once they are durable.
type Progress func(ctx context.Context, refs Refs) error

// Receipt is what came of an Apply.
type Receipt struct {
	Refs    Refs
	Outcome string   // "applied", "unchanged" or "accepted" (confirmed later); "" means applied
	Key     string   // the vendor's key of the person, where the account is also a source
	Sent    []string // paths below Delivery.Body that were really sent; nil means all
}

// Effects says how far a sink can be trusted to repeat.
type Effects struct {
	Idempotent  bool          // the same delivery twice has one effect without looking first
	Consistency time.Duration // how long a write may stay invisible to Find
	StateLike   bool          // default kind: true gets the newest state, false every change in order
	Ref         string        // which of Refs others of the account name the person by; "": id
}

// Sink brings a vendor to the wanted state. Used by delivery.
type Sink interface {
	// Apply writes d; the same delivery twice has one effect. Errors are faults.
	Apply(ctx context.Context, d Delivery, p Progress) (Receipt, error)
	// Find looks for the person after a write whose answer was lost, and
	// before a create. No candidate is no error.
	Find(ctx context.Context, d Delivery) ([]Found, error)
	// Effects are constant for a sink.
	Effects() Effects
}

// Check tells whether an account is usable: credential, reach, permission.
type Check interface {
	Check(ctx context.Context) error
}

// Unauthentic refuses a call that is not the vendor's. Reason is short and
// countable: "signature", "timestamp", "credential", "missing".
type Unauthentic struct{ Reason string }

// Error names the reason.
func (u Unauthentic) Error() string { return "not authentic: " + u.Reason }
