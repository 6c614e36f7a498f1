package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// chain computes the hashes of rows, one after the other.
type chain struct {
	hash []byte // of the last row, 32 bytes; empty before the first
	sum  [sha256.Size]byte
	buf  []byte // what is hashed, used again for the next row
}

// link goes on to the next row and gives its hash: SHA-256 over the hash before
// it and every column, each with its length in front, so that no two different
// rows have the same bytes. A column added later stays out of it and must
// repeat what is in Detail. The hash is overwritten by the next call.
func (c *chain) link(life int, r *Record) []byte {
	b := sized(c.buf[:0], "muster-audit-1")
	b = sized(b, c.hash)
	b = number(b, int64(life))
	b = number(b, int64(r.Seq))
	b = number(b, r.At.UnixMicro())
	b = number(b, r.Version)
	b = number(b, int64(r.Attempt))
	for _, s := range r.texts() {
		b = sized(b, *s)
	}
	b = number(b, int64(len(r.Fields)))
	for _, f := range r.Fields {
		b = sized(b, f)
	}
	b = sized(b, r.BodyHash[:])
	if r.Detail == nil {
		b = number(b, -1)
	} else {
		b = sized(b, r.Detail)
	}
	c.buf, c.sum = b, sha256.Sum256(b)
	c.hash = c.sum[:]
	return c.hash
}

// number appends 8 bytes, big-endian.
func number(b []byte, n int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(n)) }

// sized appends a text or bytes with their length in 8 bytes in front.
func sized[T string | []byte](b []byte, s T) []byte { return append(number(b, int64(len(s))), s...) }

// texts are the text columns in the order of textColumns.
func (r *Record) texts() [23]*string {
	return [...]*string{
		&r.Stream, &r.Kind, &r.ID, &r.Type, &r.Subject, &r.Event, &r.Change, &r.Employee, &r.Source, &r.Target,
		&r.Integration, &r.KeyToken, &r.Outcome, &r.Class, &r.Reason, &r.Path, &r.Rule, &r.TraceID, &r.Config,
		&r.Purpose, &r.LegalBasis, &r.Processor, &r.Actor,
	}
}

var textColumns = []string{
	"stream", "kind", "id", "type", "subject", "event", "change", "employee", "source", "target",
	"integration", "key_token", "outcome", "class", "reason", "path", "rule", "trace_id", "config_version",
	"purpose", "legal_basis", "processor", "actor",
}

// Broken is the first place where a chain does not hold.
type Broken struct {
	Stream string
	Life   int
	Seq    uint64 // 0: at the end
	Why    string
}

// Error says where and why.
func (b *Broken) Error() string {
	if b.Seq == 0 {
		return fmt.Sprintf("the chain of %s is broken at its end: %s", b.Stream, b.Why)
	}
	return fmt.Sprintf("the chain of %s is broken at sequence %d (life %d): %s", b.Stream, b.Seq, b.Life, b.Why)
}

// VerifyChain computes every hash again and gives the number of rows that
// hold. The error is a [Broken] for the first row that was changed, is out of
// place, or comes after one that was removed. All streams are read in one
// snapshot, so it can run while the audit appends.
func (l *Ledger) VerifyChain(ctx context.Context) (rows int64, err error) {
	err = pgx.BeginTxFunc(ctx, l.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		heads, err := readHeads(ctx, tx)
		if err != nil {
			return err
		}
		known := make([]string, 0, len(heads))
		for _, h := range heads {
			n, err := verify(ctx, tx, h)
			rows += n
			if err != nil {
				return err
			}
			known = append(known, h.Stream)
		}
		var stray string
		err = tx.QueryRow(ctx, `SELECT coalesce(min(stream), '') FROM audit_records WHERE stream <> ALL ($1)`, known).Scan(&stray)
		if err == nil && stray != "" {
			err = &Broken{Stream: stray, Why: "there are rows but no head"}
		}
		return err
	})
	return rows, err
}

func verify(ctx context.Context, tx pgx.Tx, head Head) (n int64, err error) {
	q, err := tx.Query(ctx, `SELECT life, seq, at, version, attempt, fields, body_hash, detail::text, hash, `+
		columns(textColumns)+` FROM audit_records WHERE stream = $1 ORDER BY life, seq`, head.Stream)
	if err != nil {
		return 0, fmt.Errorf("verify the chain of %s: %w", head.Stream, err)
	}
	defer q.Close()
	var links chain
	for q.Next() {
		var r Record
		var life int
		var body, hash []byte
		var detail *string
		into := []any{&life, &r.Seq, &r.At, &r.Version, &r.Attempt, &r.Fields, &body, &detail, &hash}
		for _, s := range r.texts() {
			into = append(into, s)
		}
		if err := q.Scan(into...); err != nil {
			return n, fmt.Errorf("verify the chain of %s: %w", head.Stream, err)
		}
		copy(r.BodyHash[:], body)
		if detail != nil {
			r.Detail = []byte(*detail)
		}
		if len(body) != len(r.BodyHash) || !bytes.Equal(links.link(life, &r), hash) {
			return n, &Broken{head.Stream, life, r.Seq, "this row was changed or moved, or the one before it removed"}
		}
		n++
	}
	if err := q.Err(); err != nil {
		return n, fmt.Errorf("verify the chain of %s: %w", head.Stream, err)
	}
	if n != head.Rows || !bytes.Equal(links.hash, head.Hash) && n > 0 {
		return n, &Broken{Stream: head.Stream, Life: head.Life, Why: fmt.Sprintf("%d rows are there, the head counts %d", n, head.Rows)}
	}
	return n, nil
}

// Head is the end of one stream's chain. Written down elsewhere (a log, a
// printed page) it proves that the tail was not cut off later.
type Head struct {
	Stream string
	Life   int
	Seq    uint64
	Rows   int64
	At     *time.Time // of the last row; nil if there is none
	Hash   []byte
}

// Heads are the ends of all chains, by stream.
func (l *Ledger) Heads(ctx context.Context) ([]Head, error) { return readHeads(ctx, l.pool) }

func readHeads(ctx context.Context, db interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}) ([]Head, error) {
	rows, err := db.Query(ctx, `SELECT stream, life, seq, rows, at, hash FROM chain_heads ORDER BY stream`)
	if err == nil {
		var heads []Head
		if heads, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Head]); err == nil {
			return heads, nil
		}
	}
	return nil, fmt.Errorf("read the heads of the chains: %w", err)
}
