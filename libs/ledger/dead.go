package ledger

import (
	"context"
	"errors"
	"maps"
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
	State       string    `json:"state"`                // open, resolved, discarded
	SettledBy   string    `json:"settled_by,omitempty"` // event whose delivery ended it
	Subject     string    `json:"-"`                    // where the letter itself lies on DEAD
}

const deadColumns = `id, stage, source, integration, employee, event, class, reason, path, rule, attempts, at, config_version, target, trace_id, state, settled_by, subject`

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

// addDead keeps the index: letters of DEAD open it, and a later delivery to the
// same target settles them, if it is of the same event or of what stands for it.
func addDead(ctx context.Context, tx pgx.Tx, stream string, rs []Record) error {
	if stream != topology.Dead {
		return settle(ctx, tx, rs)
	}
	// The streams are written side by side, so that delivery may be here already.
	// Whoever writes one holds its head: one that is not here yet will see these.
	if _, err := lockHead(ctx, tx, topology.Delivered); err != nil {
		return err
	}
	var b pgx.Batch
	for i := range rs {
		r := &rs[i]
		b.Queue(`INSERT INTO dead_letters (subject, id, seq, at, stage, source, target, integration, employee, event, version, class, reason,
				path, rule, attempts, trace_id, config_version)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
			ON CONFLICT (subject) DO UPDATE SET id = excluded.id, seq = excluded.seq, at = excluded.at, version = excluded.version,
				class = excluded.class, reason = excluded.reason, path = excluded.path, rule = excluded.rule, attempts = excluded.attempts,
				trace_id = excluded.trace_id, config_version = excluded.config_version, state = 'open', settled_at = NULL, settled_by = ''`,
			r.Subject, r.ID, int64(r.Seq), r.At, text(r.Stage), r.Source, r.Target, r.Integration, r.Employee, r.Event, r.Version, r.Class,
			r.Reason, r.Path, r.Rule, r.Attempt, r.TraceID, r.Config)
		if r.Employee == "" || r.Target == "" {
			continue
		}
		b.Queue(`UPDATE dead_letters SET state = CASE by.outcome WHEN 'discarded' THEN 'discarded' ELSE 'resolved' END,
				settled_at = by.at, settled_by = by.event
			FROM (SELECT at, event, outcome FROM audit_records
				WHERE employee = $2 AND at >= $3 AND target = $4 AND kind = $5 AND outcome = ANY ($6)
					AND (event = $7 OR $8 AND version > $9 AND outcome <> 'discarded')
				ORDER BY at LIMIT 1) AS by
			WHERE subject = $1`,
			r.Subject, r.Employee, r.At, r.Target, KindDelivery, slices.Collect(maps.Keys(settled)), r.Event, r.Newest && r.Version > 0, r.Version)
	}
	return tx.SendBatch(ctx, &b).Close()
}

// settle ends the open letters that these deliveries are about or stand for.
// Nearly every delivery is about nobody with one: that is one question for all
// of them, not one each.
func settle(ctx context.Context, tx pgx.Tx, rs []Record) error {
	employees := make([]string, 0, len(rs))
	for i := range rs {
		if rs[i].settles() {
			employees = append(employees, rs[i].Employee)
		}
	}
	if len(employees) == 0 {
		return nil
	}
	found, err := tx.Query(ctx, `SELECT DISTINCT employee FROM dead_letters WHERE state = 'open' AND employee = ANY ($1)`, employees)
	if err != nil {
		return err
	}
	open, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil || len(open) == 0 {
		return err
	}
	var b pgx.Batch
	for i := range rs {
		if r := &rs[i]; r.settles() && slices.Contains(open, r.Employee) {
			state := settled[r.Outcome]
			b.Queue(`UPDATE dead_letters SET state = $1, settled_at = $2, settled_by = $3
				WHERE state = 'open' AND employee = $4 AND target = $5 AND at <= $2
					AND (event = $3 OR $6 AND version > 0 AND version < $7)`,
				state, r.At, r.Event, r.Employee, r.Target, r.Newest && state != "discarded", r.Version)
		}
	}
	return tx.SendBatch(ctx, &b).Close()
}

// settled says which outcome ends a dead letter, and how.
var settled = map[string]string{
	"applied": "resolved", "unchanged": "resolved", "accepted": "resolved", "superseded": "resolved", "discarded": "discarded",
}

// settles tells whether a dead letter may end here.
func (r *Record) settles() bool {
	return r.Kind == KindDelivery && r.Employee != "" && settled[r.Outcome] != ""
}
