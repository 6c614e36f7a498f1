package ledger

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Entry is one line of a timeline.
type Entry struct {
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"`
	Event   string    `json:"event"`
	Type    string    `json:"type"`
	Source  string    `json:"source"`
	Target  string    `json:"target"`
	Fields  []string  `json:"fields"`
	Outcome string    `json:"outcome"`
	Class   string    `json:"class"`
	Attempt int       `json:"attempt"`
	TraceID string    `json:"trace_id"`
	Config  string    `json:"config_version"`
	Actor   string    `json:"actor"`

	// Beyond what lists need.
	Employee    string `json:"employee,omitempty"`
	Version     int64  `json:"version,omitempty"`
	Integration string `json:"integration,omitempty"`
	Reason      string `json:"reason,omitempty"`
	Path        string `json:"path,omitempty"`
	Rule        string `json:"rule,omitempty"`
	Purpose     string `json:"purpose,omitempty"`
	LegalBasis  string `json:"legal_basis,omitempty"`
	Processor   string `json:"processor,omitempty"`

	Rank int16 `json:"-"`
	Life int   `json:"-"`
	Seq  int64 `json:"-"`
	Part int   `json:"-"`
}

// entries is the common part of the questions: an intent is shown only while
// its outcome is missing, and a conflict is a line of its own. %s is the
// condition on audit_records and conflicts alike.
const entries = `
	SELECT at, kind, event, CASE WHEN kind = 'delivery' AND change <> '' THEN change ELSE type END AS type, source, target, fields,
		outcome, class, attempt, trace_id, config_version, actor, employee, version, integration, reason, path, rule,
		purpose, legal_basis, processor, rank, life, seq, 0 AS part
	FROM audit_records r
	WHERE %[1]s AND kind <> 'other'
		AND NOT (outcome = 'intended' AND EXISTS (
			SELECT FROM audit_records c WHERE c.employee = r.employee AND c.at >= r.at AND c.stream = r.stream AND c.life = r.life
				AND c.seq > r.seq AND c.target = r.target AND c.event = r.event AND c.outcome <> 'intended'))
	UNION ALL
	SELECT at, 'conflict', event, '', source, '', ARRAY[path], 'refused', '', 0, trace_id, config_version, '', employee, 0, '',
		'', path, rule, '', '', '', rank, life, seq, part
	FROM conflicts WHERE %[1]s`

// Timeline is what happened about one employee, oldest first: what sources
// said, what changed, what was sent and what came of it. next is "" at the end.
func (l *Ledger) Timeline(ctx context.Context, employee string, limit int, after string) (lines []Entry, next string, err error) {
	limit = bounded(limit)
	c, err := parseCursor(after)
	if err != nil {
		return nil, "", err
	}
	lines, err = collect[Entry](ctx, l, "a timeline", `SELECT * FROM (`+fmt.Sprintf(entries, "employee = $1")+`) e
		WHERE $2::timestamptz IS NULL OR (at, rank, life, seq, part) > ($2, $3, $4, $5, $6)
		ORDER BY at, rank, life, seq, part LIMIT $7`, employee, c.at(), c.Rank, c.Life, c.Seq, c.Part, limit+1)
	if err != nil || len(lines) <= limit {
		return lines, "", err
	}
	lines = lines[:limit]
	e := lines[limit-1]
	return lines, cursor{At: e.At, Rank: e.Rank, Life: e.Life, Seq: e.Seq, Part: e.Part}.String(), nil
}

// Trace is everything that carries one trace id, oldest first, whomever it is
// about.
func (l *Ledger) Trace(ctx context.Context, traceID string) ([]Entry, error) {
	return collect[Entry](ctx, l, "a trace", `SELECT * FROM (`+fmt.Sprintf(entries, "trace_id = $1")+`) e
		ORDER BY at, rank, life, seq, part`, traceID)
}

// Attempts counts the attempts per target and outcome; of all targets if none
// is named. Intents are none.
func (l *Ledger) Attempts(ctx context.Context, targets ...string) (map[string]map[string]int64, error) {
	type row struct {
		Target, Outcome string
		N               int64
	}
	rows, err := collect[row](ctx, l, "attempts", `SELECT target, outcome, count(*) FROM audit_records
		WHERE kind = 'delivery' AND outcome <> 'intended' AND target <> '' AND (cardinality($1::text[]) = 0 OR target = ANY ($1))
		GROUP BY target, outcome`, append([]string{}, targets...))
	if err != nil {
		return nil, err
	}
	counts := make(map[string]map[string]int64)
	for _, r := range rows {
		if counts[r.Target] == nil {
			counts[r.Target] = make(map[string]int64)
		}
		counts[r.Target][r.Outcome] = r.N
	}
	return counts, nil
}

// ErrCursor says that the place to go on from was not given out by us.
var ErrCursor = errors.New("the cursor is not one of this list")

// cursor is the place of the last line given out.
type cursor struct {
	At   time.Time `json:"a"`
	Rank int16     `json:"r,omitempty"`
	Life int       `json:"l,omitempty"`
	Seq  int64     `json:"s,omitempty"`
	Part int       `json:"p,omitempty"`
	ID   string    `json:"i,omitempty"`
}

func (c cursor) String() string {
	b, err := json.Marshal(c)
	if err != nil {
		return "" // a time out of range, which no row has
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// at is null at the beginning.
func (c cursor) at() *time.Time {
	if c.At.IsZero() {
		return nil
	}
	return &c.At
}

func parseCursor(s string) (c cursor, err error) {
	if s == "" {
		return c, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || json.Unmarshal(b, &c) != nil || c.At.IsZero() {
		return cursor{}, ErrCursor
	}
	c.ID = text(c.ID)
	return c, nil
}

// bounded is a page size between 1 and 1000, 100 if none was asked for.
func bounded(limit int) int {
	if limit <= 0 {
		return 100
	}
	return min(limit, 1000)
}
