package ledger

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/muster-hr/muster/libs/topology"
)

// DeadLetter is one entry of the list of what was given up.
type DeadLetter struct {
	ID          string    `json:"id"`
	Stage       string    `json:"stage"`
	Source      string    `json:"source"`
	Integration string    `json:"integration"`
	Employee    string    `json:"employee"`
	Event       string    `json:"event"`
	Class       string    `json:"class"`
	Reason      string    `json:"reason"`
	Path        string    `json:"path"`
	Rule        string    `json:"rule"`
	Attempts    int       `json:"attempts"`
	At          time.Time `json:"at"`
	Config      string    `json:"config_version"`
	Target      string    `json:"target"`
	TraceID     string    `json:"trace_id"`
	State       string    `json:"state"` // open, resolved, discarded
	Subject     string    `json:"-"`     // where the letter itself lies on DEAD
}

const deadColumns = `id, stage, source, integration, employee, event, class, reason, path, rule, attempts, at, config_version, target, trace_id, state, subject`

// ErrNotFound says that there is no such row.
var ErrNotFound = errors.New("not found in the ledger")

// Dead lists open dead letters, the newest first. next is "" at the end.
func (l *Ledger) Dead(ctx context.Context, limit int, after string) (letters []DeadLetter, next string, err error) {
	limit = bounded(limit)
	c, err := parseCursor(after)
	if err != nil {
		return nil, "", err
	}
	letters, err = collect[DeadLetter](ctx, l, "dead letters", `SELECT `+deadColumns+` FROM dead_letters
		WHERE state = 'open' AND ($1::timestamptz IS NULL OR (at, id) < ($1, $2))
		ORDER BY at DESC, id DESC LIMIT $3`, c.at(), c.ID, limit+1)
	if err != nil || len(letters) <= limit {
		return letters, "", err
	}
	letters = letters[:limit]
	last := letters[limit-1]
	return letters, cursor{At: last.At, ID: last.ID}.String(), nil
}

// DeadLetter reads one, open or not, by its id.
func (l *Ledger) DeadLetter(ctx context.Context, id string) (DeadLetter, error) {
	some, err := collect[DeadLetter](ctx, l, "a dead letter", `SELECT `+deadColumns+` FROM dead_letters WHERE id = $1`, id)
	if err != nil {
		return DeadLetter{}, err
	}
	if len(some) == 0 {
		return DeadLetter{}, ErrNotFound
	}
	return some[0], nil
}

// addDead keeps the index: letters of DEAD open it, and a later delivery of the
// same event to the same target settles them.
func addDead(ctx context.Context, tx pgx.Tx, stream string, rs []Record) error {
	if stream != topology.Dead {
		return settle(ctx, tx, rs)
	}
	var b pgx.Batch
	for i := range rs {
		r := &rs[i]
		b.Queue(`INSERT INTO dead_letters (subject, id, seq, at, stage, source, target, integration, employee, event, class, reason,
				path, rule, attempts, trace_id, config_version)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
			ON CONFLICT (subject) DO UPDATE SET id = excluded.id, seq = excluded.seq, at = excluded.at, class = excluded.class,
				reason = excluded.reason, path = excluded.path, rule = excluded.rule, attempts = excluded.attempts,
				trace_id = excluded.trace_id, config_version = excluded.config_version, state = 'open', settled_at = NULL`,
			r.Subject, r.ID, int64(r.Seq), r.At, text(r.Stage), r.Source, r.Target, r.Integration, r.Employee, r.Event, r.Class,
			r.Reason, r.Path, r.Rule, r.Attempt, r.TraceID, r.Config)
	}
	return tx.SendBatch(ctx, &b).Close()
}

// settle ends the open letters that these deliveries are about. Nearly every
// delivery is about none: that is one question for all of them, not one each.
func settle(ctx context.Context, tx pgx.Tx, rs []Record) error {
	events := make([]string, 0, len(rs))
	for i := range rs {
		if rs[i].settles() {
			events = append(events, rs[i].Event)
		}
	}
	if len(events) == 0 {
		return nil
	}
	found, err := tx.Query(ctx, `SELECT event FROM dead_letters WHERE state = 'open' AND event = ANY ($1)`, events)
	if err != nil {
		return err
	}
	open, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil || len(open) == 0 {
		return err
	}
	var b pgx.Batch
	for i := range rs {
		if r := &rs[i]; r.settles() && slices.Contains(open, r.Event) {
			b.Queue(`UPDATE dead_letters SET state = $1, settled_at = $2
				WHERE state = 'open' AND employee = $3 AND target = $4 AND event = $5 AND at <= $2`,
				settled[r.Outcome], r.At, r.Employee, r.Target, r.Event)
		}
	}
	return tx.SendBatch(ctx, &b).Close()
}

// settled says which outcome ends a dead letter, and how.
var settled = map[string]string{
	"applied": "resolved", "unchanged": "resolved", "accepted": "resolved", "superseded": "resolved", "discarded": "discarded",
}

// settles tells whether a dead letter about the same ends here.
func (r *Record) settles() bool { return r.Kind == KindDelivery && settled[r.Outcome] != "" }
