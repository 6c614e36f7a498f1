package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgtype"
	"pgregory.net/rapid"
)

// anyRecord is one as clean leaves it.
func anyRecord(t *rapid.T) Record {
	r := Record{
		Seq:     rapid.Uint64Range(1, 1<<62).Draw(t, "seq"),
		At:      time.UnixMicro(rapid.Int64Range(-1e15, 1e16).Draw(t, "at")),
		Version: rapid.Int64().Draw(t, "version"),
		Attempt: int(rapid.Int32Min(0).Draw(t, "attempt")),
		Fields:  rapid.SliceOfN(rapid.String(), 0, 4).Draw(t, "fields"),
		Detail:  rapid.SampledFrom([][]byte{nil, []byte(`{}`), []byte(`{"b": 1.0, "a":[1e2]}`)}).Draw(t, "detail"),
	}
	copy(r.BodyHash[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "body"))
	for _, s := range r.texts() {
		*s = rapid.StringN(0, 12, 40).Draw(t, "text")
	}
	r.clean()
	return r
}

// reference is the hash of a row as the chain was begun with. It must stay:
// rows that are years old are verified with it.
func reference(prev []byte, life int, r *Record) []byte {
	h := sha256.New()
	number := func(n int64) { _ = binary.Write(h, binary.BigEndian, n) } // a hash takes everything
	text := func(b []byte) { number(int64(len(b))); h.Write(b) }
	text([]byte("muster-audit-1"))
	text(prev)
	for _, n := range []int64{int64(life), int64(r.Seq), r.At.UnixMicro(), r.Version, int64(r.Attempt)} {
		number(n)
	}
	for _, s := range []string{
		r.Stream, r.Kind, r.ID, r.Type, r.Subject, r.Event, r.Change, r.Employee, r.Source, r.Target, r.Integration, r.KeyToken,
		r.Outcome, r.Class, r.Reason, r.Path, r.Rule, r.TraceID, r.Config, r.Purpose, r.LegalBasis, r.Processor, r.Actor,
	} {
		text([]byte(s))
	}
	number(int64(len(r.Fields)))
	for _, f := range r.Fields {
		text([]byte(f))
	}
	text(r.BodyHash[:])
	if r.Detail == nil {
		number(-1)
	} else {
		text(r.Detail)
	}
	return h.Sum(nil)
}

func TestLinksAreThoseOfOldRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c chain
		var want []byte
		for life := range rapid.IntRange(1, 4).Draw(t, "rows") {
			r := anyRecord(t)
			want = reference(want, life, &r)
			if got := c.link(life, &r); !bytes.Equal(got, want) {
				t.Fatalf("hash %x, want %x", got, want)
			}
		}
	})
}

// What is written for COPY is byte by byte what the client library encodes,
// however it is read.
func TestCopyIsWhatTheClientEncodes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		types, head := pgtype.NewMap(), Head{Life: rapid.IntRange(1, 9).Draw(t, "life")}
		rs := []Record{anyRecord(t), anyRecord(t), anyRecord(t)}
		want := slices.Concat([]byte("PGCOPY\n\377\r\n\000"), make([]byte, 8))
		var prev []byte
		for i := range rs {
			r := &rs[i]
			prev = reference(prev, head.Life, r)
			values := []any{head.Life, int64(r.Seq), r.At, int16(3), r.Version, r.Attempt, r.Fields, r.BodyHash[:], r.Detail, prev}
			oids := []uint32{pgtype.Int4OID, pgtype.Int8OID, pgtype.TimestamptzOID, pgtype.Int2OID, pgtype.Int8OID, pgtype.Int4OID,
				pgtype.TextArrayOID, pgtype.ByteaOID, pgtype.JSONOID, pgtype.ByteaOID}
			for _, s := range r.texts() {
				values, oids = append(values, *s), append(oids, pgtype.TextOID)
			}
			want = binary.BigEndian.AppendUint16(want, uint16(len(values)))
			for n, v := range values {
				b, err := types.Encode(oids[n], pgtype.BinaryFormatCode, v, nil)
				switch {
				case err != nil:
					t.Fatal(err)
				case b == nil && v != nil && (oids[n] != pgtype.JSONOID || r.Detail != nil):
					b = []byte{} // an empty text, not null
				}
				if b == nil {
					want = binary.BigEndian.AppendUint32(want, 1<<32-1)
					continue
				}
				want = append(binary.BigEndian.AppendUint32(want, uint32(len(b))), b...)
			}
		}
		for name, through := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "half": iotest.HalfReader,
		} {
			got, err := io.ReadAll(through(newCopyFile(head, 3, rs)))
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%s: %v, %d bytes, want %d:\n%s", name, err, len(got), len(want), cmp.Diff(want, got))
			}
		}
	})
}

func TestEndedCopyGivesNothingMore(t *testing.T) {
	f := newCopyFile(Head{}, 0, make([]Record, 3))
	if _, err := f.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	f.end()
	if n, err := f.Read(make([]byte, 10)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("read %d, %v; want the end", n, err)
	}
}

func FuzzValid(f *testing.F) {
	for _, s := range []string{`{"a":-1.5e-3,"b":[true,null,"\u12aF\n"]}`, `{"a":1,}`, "01", "\"\x1f\"", "\"\xff\"", `"\ud800"`, "{} {}", ""} {
		f.Add([]byte(s))
	}
	f.Add(append(bytes.Repeat([]byte("["), 10_001), bytes.Repeat([]byte("]"), 10_001)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if valid(b) != json.Valid(b) {
			t.Errorf("valid(%q) = %t", b, valid(b))
		}
	})
}
