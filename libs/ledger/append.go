package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/tidwall/gjson"

	"github.com/muster-hr/muster/libs/topology"
)

// flow ranks the streams: what comes later in the flow sorts later among equal times.
var flow = []string{
	topology.Raw, topology.Surveys, topology.Decisions, topology.People, topology.Parked,
	topology.Delivered, topology.Dead, topology.Audit,
}

func rank(stream string) int16 {
	if i := slices.Index(flow, stream); i >= 0 {
		return int16(i)
	}
	return int16(len(flow))
}

// Append adds the records of one stream, in order, and tells how many were
// new. What the head has seen already is dropped, so a batch that comes again
// adds nothing; COPY, chain head and the tables beside are one transaction, so
// a crash leaves all of it or none. Texts are cleaned of what Postgres cannot
// hold (NUL, malformed UTF-8). The error is a [Behind] when the database has
// lost what was appended before.
func (l *Ledger) Append(ctx context.Context, stream string, rs []Record) (added int, err error) {
	if len(rs) == 0 {
		return 0, nil
	}
	for i := range rs {
		if rs[i].Stream != stream || i > 0 && rs[i].Seq <= rs[i-1].Seq {
			return 0, fmt.Errorf("append to %s: sequence %d of %s is out of order", stream, rs[i].Seq, rs[i].Stream)
		}
		rs[i].clean()
	}
	var end Head
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		head, err := lockHead(ctx, tx, stream)
		if err != nil {
			return err
		}
		if err := l.behind(head); err != nil {
			return err
		}
		end = head
		if rs, err = unseen(ctx, tx, &head, rs); err != nil || len(rs) == 0 {
			return err
		}
		added = len(rs)
		end = Head{Stream: stream, Life: head.Life, Seq: rs[added-1].Seq}
		return add(ctx, tx, head, rs)
	})
	if err != nil {
		return 0, fmt.Errorf("append %d records to %s: %w", len(rs), stream, err)
	}
	l.mu.Lock()
	l.ends[stream] = end
	l.mu.Unlock()
	return added, nil
}

// Behind says that a database has lost rows that it had committed: it failed
// over to a copy that did not have them yet, or was restored. The chain that is
// left holds, so nothing else tells.
type Behind struct {
	Stream    string
	Seq, Lost uint64 // the head, and the last sequence that was committed
}

// Error says what is missing.
func (b *Behind) Error() string {
	return fmt.Sprintf("the database has lost rows of %s that it had committed: it ends at sequence %d, and had %d", b.Stream, b.Seq, b.Lost)
}

func (l *Ledger) behind(head Head) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if end := l.ends[head.Stream]; head.Life < end.Life || head.Life == end.Life && head.Seq < end.Seq {
		return &Behind{head.Stream, head.Seq, end.Seq}
	}
	return nil
}

// Resume has Append go on from where the chain of a stream ends in the database,
// whatever was there before, and gives that end.
func (l *Ledger) Resume(ctx context.Context, stream string) (Head, error) {
	heads, err := l.Heads(ctx)
	if err != nil {
		return Head{}, err
	}
	l.mu.Lock()
	delete(l.ends, stream)
	l.mu.Unlock()
	for _, h := range heads {
		if h.Stream == stream {
			return h, nil
		}
	}
	return Head{Stream: stream}, nil
}

// lockHead serialises the writers of a stream.
func lockHead(ctx context.Context, tx pgx.Tx, stream string) (Head, error) {
	h := Head{Stream: stream}
	read := func() error {
		return tx.QueryRow(ctx, `SELECT life, seq, rows, at, hash FROM chain_heads WHERE stream = $1 FOR UPDATE`, stream).
			Scan(&h.Life, &h.Seq, &h.Rows, &h.At, &h.Hash)
	}
	err := read()
	if errors.Is(err, pgx.ErrNoRows) {
		if _, err = tx.Exec(ctx, `INSERT INTO chain_heads VALUES ($1, 1, 0, 0, NULL, '') ON CONFLICT DO NOTHING`, stream); err == nil {
			err = read()
		}
	}
	return h, err
}

// unseen drops what the head has passed. A sequence below the head whose row
// is not the one we have belongs to a stream that was made anew, with the
// numbers from 1 again (a fresh broker on an old database): then a new life
// begins in the same chain, because dropping would lose evidence in silence.
func unseen(ctx context.Context, tx pgx.Tx, head *Head, rs []Record) ([]Record, error) {
	if rs[0].Seq > head.Seq {
		return rs, nil
	}
	var at time.Time
	err := tx.QueryRow(ctx, `SELECT at FROM audit_records WHERE stream = $1 AND life = $2 AND seq = $3`,
		head.Stream, head.Life, rs[0].Seq).Scan(&at)
	switch {
	case err == nil && at.Equal(rs[0].At):
		i := slices.IndexFunc(rs, func(r Record) bool { return r.Seq > head.Seq })
		if i < 0 {
			return nil, nil
		}
		return rs[i:], nil
	case err != nil && !errors.Is(err, pgx.ErrNoRows):
		return nil, err
	}
	head.Life++
	head.Seq = 0
	return rs, nil
}

func add(ctx context.Context, tx pgx.Tx, head Head, rs []Record) error {
	place := rank(head.Stream)
	hash, err := copyRecords(ctx, tx, head, place, rs)
	if err != nil {
		return err
	}
	last := rs[len(rs)-1]
	if _, err := tx.Exec(ctx, `UPDATE chain_heads SET life = $2, seq = $3, rows = rows + $4, at = $5, hash = $6 WHERE stream = $1`,
		head.Stream, head.Life, int64(last.Seq), len(rs), last.At, hash); err != nil {
		return err
	}
	if err := addConflicts(ctx, tx, head.Life, place, rs); err != nil {
		return err
	}
	if err := addAnswers(ctx, tx, rs); err != nil {
		return err
	}
	return addDead(ctx, tx, head.Stream, rs)
}

func addConflicts(ctx context.Context, tx pgx.Tx, life int, place int16, rs []Record) error {
	var rows [][]any
	for i := range rs {
		r := &rs[i]
		for n, c := range r.Conflicts {
			rows = append(rows, []any{r.Stream, life, int64(r.Seq), n + 1, r.At, place, r.Employee, r.Source, r.Event,
				text(c.Path), text(c.Rule), text(c.Winner), r.TraceID, r.Config})
		}
	}
	if rows == nil {
		return nil
	}
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"conflicts"}, []string{"stream", "life", "seq", "part", "at", "rank", "employee",
		"source", "event", "path", "rule", "winner", "trace_id", "config_version"}, pgx.CopyFromRows(rows))
	return err
}

// clean brings a record to what Postgres gives back, so that its hash can be
// computed again from the row.
func (r *Record) clean() {
	r.At = r.At.UTC().Truncate(time.Microsecond)
	for _, s := range r.texts() {
		*s = text(*s)
	}
	r.Attempt = min(max(r.Attempt, 0), math.MaxInt32)
	if r.Fields == nil {
		r.Fields = []string{}
	}
	for i, f := range r.Fields {
		if clean := text(f); clean != f {
			r.Fields = slices.Clone(r.Fields)
			r.Fields[i] = clean
		}
	}
	if r.Detail != nil {
		if !utf8.Valid(r.Detail) {
			r.Detail = bytes.ToValidUTF8(r.Detail, []byte("�"))
		}
		if !valid(r.Detail) {
			r.Detail = nil
		}
	}
}

// valid is json.Valid, for a fraction of its price where nothing can nest
// deeper than that, or Postgres, allows.
func valid(detail []byte) bool {
	const deepest = 10_000
	if bytes.Count(detail, []byte("["))+bytes.Count(detail, []byte("{")) > deepest {
		return json.Valid(detail)
	}
	return gjson.ValidBytes(detail)
}

// longest bounds a text column: an index cannot hold more than 2.7 kB. What is
// cut is still whole in Detail.
const longest = 1024

func text(s string) string {
	if len(s) > longest {
		s = s[:longest]
	}
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "")
	}
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "")
}

func columns(names []string) string { return strings.Join(names, ", ") }
