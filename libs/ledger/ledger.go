// Package ledger is the evidence in Postgres: what happened to whom, in a chain
// that shows when a row was changed or removed, and the questions that people
// ask of it. The audit appends and owns the tables; the console reads.
//
//	audit_records  one row per message, append-only, by month
//	chain_heads    per stream: the last sequence taken and the hash at the end
//	conflicts      fields that a source said and may not set
//	dead_letters   index of what was given up, with its state
//	survey_responses, survey_facts   who answered what, until they are erased
//
// No value of a person is in the evidence: rows name fields, never their
// content, and hash the sealed data, so that erasing a person's keys leaves the
// chain valid. Facts of surveys hold what was chosen or counted, never what
// somebody wrote, and are deleted with their person.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Kinds of records; those but Other make up a timeline.
const (
	KindRecord   = "record"
	KindChange   = "change"
	KindDelivery = "delivery"
	KindConflict = "conflict"
	KindHeld     = "held"
	KindDecision = "decision"
	KindErased   = "erased"
	KindOther    = "other"
)

// Record is one row. Stream, Seq and At come from the stream, the rest from
// the message's clear head, its subject and its headers.
type Record struct {
	Stream string
	Seq    uint64
	At     time.Time // kept in microseconds

	Kind, ID, Type, Subject        string
	Event, Change                  string // ce-id of what it is about; type of the change a delivery is about
	Employee, Source, Target       string
	Integration, KeyToken          string
	Version                        int64
	Fields                         []string
	Outcome, Class, Reason         string
	Attempt                        int
	Path, Rule                     string
	TraceID, Config                string
	Purpose, LegalBasis, Processor string
	Actor                          string
	BodyHash                       [32]byte // SHA-256 of the message's data
	Detail                         []byte   // the clear head, JSON; nil if there is none

	Stage     string     // of a dead letter; not a column of the record
	Newest    bool       // its target takes the newest state, which stands for all before it; likewise
	Conflicts []Conflict // rows of their own beside the record
	Answers   *Answers   // likewise, of a response to a survey
}

// Conflict is a field that a source may not set.
type Conflict struct {
	Path   string `json:"path"`
	Rule   string `json:"rule"`
	Winner string `json:"winner"`
}

// Ledger is a pool of connections.
type Ledger struct {
	pool *pgxpool.Pool

	mu   sync.Mutex
	ends map[string]Head // of the chains as this program left them, see [Behind]
}

// Open connects to a database. Nothing is asked of it yet: the server may
// still be starting. The error never holds the connection string.
func Open(ctx context.Context, dsn string) (*Ledger, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("the database URL is malformed, want postgres://user:password@host:5432/name")
	}
	cfg.ConnConfig.RuntimeParams["application_name"] = "muster"
	cfg.ConnConfig.RuntimeParams["timezone"] = "UTC"
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return &Ledger{pool: pool, ends: map[string]Head{}}, nil
}

// Ping asks whether the database answers.
func (l *Ledger) Ping(ctx context.Context) error { return l.pool.Ping(ctx) }

// closeWithin bounds Close: a server that does not answer would be waited for
// for 15 s, which is all that a service has for its end.
const closeWithin = 2 * time.Second

// Close waits for running queries and closes the connections, for a moment: what
// was not committed by then is taken back by the server.
func (l *Ledger) Close() {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		l.pool.Close()
	}()
	select {
	case <-closed:
	case <-time.After(closeWithin):
	}
}

// Host names the server of a database URL without its password, for logs.
func Host(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return "?"
	}
	return u.Host + u.Path
}

// collect runs a query and reads its rows into T by position.
func collect[T any](ctx context.Context, l *Ledger, what, sql string, args ...any) ([]T, error) {
	rows, err := l.pool.Query(ctx, sql, args...)
	if err == nil {
		var out []T
		if out, err = pgx.CollectRows(rows, pgx.RowToStructByPos[T]); err == nil {
			return out, nil
		}
	}
	return nil, fmt.Errorf("read %s: %w", what, err)
}
