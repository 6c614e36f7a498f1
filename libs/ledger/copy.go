package ledger

import (
	"context"
	"encoding/binary"
	"io"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

var copySQL = "COPY audit_records (life, seq, at, rank, version, attempt, fields, body_hash, detail, hash, " +
	columns(textColumns) + ") FROM STDIN BINARY"

// copyRecords adds the rows behind the head and gives the hash of the last one.
// They are written as the wire has them: pgx would box every column of every
// row, look for a plan to encode it, and hand it through a pipe.
func copyRecords(ctx context.Context, tx pgx.Tx, head Head, place int16, rs []Record) (hash []byte, err error) {
	f := newCopyFile(head, place, rs)
	_, err = tx.Conn().PgConn().CopyFrom(ctx, f, copySQL)
	return f.end(), err
}

// copyFile reads as the rows in the binary format of COPY (Postgres manual,
// part VI, COPY, "Binary Format"): a header, then each row as the number of its
// columns and every column with its length in front, all big-endian.
type copyFile struct {
	mu    sync.Mutex // the client may still read when it has given up on a lost connection
	rs    []Record   // not yet written
	life  int
	rank  int16
	links chain
	row   []byte // the last row written, used again for the next
	rest  []byte // of it, not yet read
}

func newCopyFile(head Head, place int16, rs []Record) *copyFile {
	f := &copyFile{rs: rs, life: head.Life, rank: place, links: chain{hash: head.Hash}}
	f.row = append(f.row, "PGCOPY\n\377\r\n\000"...)
	f.row = append(f.row, 0, 0, 0, 0, 0, 0, 0, 0) // no flags, no extension of the header
	f.rest = f.row
	return f
}

// Read fills p, so that few and large messages go to the server.
func (f *copyFile) Read(p []byte) (n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for n < len(p) {
		if len(f.rest) == 0 {
			if len(f.rs) == 0 {
				break
			}
			f.next()
		}
		k := copy(p[n:], f.rest)
		f.rest = f.rest[k:]
		n += k
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// end lets go of the records and gives the hash of the last one that was
// written. Whoever reads on finds nothing more.
func (f *copyFile) end() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rs, f.rest = nil, nil
	return f.links.hash
}

// next writes the next row, in the order of copySQL.
func (f *copyFile) next() {
	r := &f.rs[0]
	hash := f.links.link(f.life, r)
	b := binary.BigEndian.AppendUint16(f.row[:0], uint16(10+len(textColumns)))
	b = integer(b, f.life)
	b = bigint(b, int64(r.Seq))
	b = bigint(b, r.At.UnixMicro()-postgresEpoch)
	b = binary.BigEndian.AppendUint16(length(b, 2), uint16(f.rank))
	b = bigint(b, r.Version)
	b = integer(b, r.Attempt)
	b = texts(b, r.Fields)
	b = column(b, r.BodyHash[:])
	if r.Detail == nil {
		b = length(b, -1) // null
	} else {
		b = column(b, r.Detail)
	}
	b = column(b, hash)
	for _, s := range r.texts() {
		b = column(b, *s)
	}
	f.rs, f.row, f.rest = f.rs[1:], b, b
}

// postgresEpoch is the beginning of 2000, from which Postgres counts, in Unix
// microseconds.
const postgresEpoch = 946_684_800_000_000

// length appends the length of a column in bytes, -1 for null.
func length(b []byte, n int) []byte { return binary.BigEndian.AppendUint32(b, uint32(int32(n))) }

// column appends one of type text, json or bytea.
func column[T string | []byte](b []byte, s T) []byte { return append(length(b, len(s)), s...) }

func integer(b []byte, n int) []byte  { return length(length(b, 4), n) }
func bigint(b []byte, n int64) []byte { return number(length(b, 8), n) }

// texts appends a text[]: one dimension, no nulls, the type of the elements; how
// many there are, the first index, and they themselves.
func texts(b []byte, list []string) []byte {
	at := len(b)
	b = length(b, 0) // known below
	for _, n := range []int{1, 0, pgtype.TextOID, len(list), 1} {
		b = length(b, n)
	}
	for _, s := range list {
		b = column(b, s)
	}
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}
