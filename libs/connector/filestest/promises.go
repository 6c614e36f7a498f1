package filestest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/seal"
)

func pieces(t *testing.T, s Setup) {
	r := s.stand(t, "hub")
	if d := cmp.Diff(r.pieces(t, s), s.stand(t, "hub").pieces(t, s)); d != "" {
		t.Errorf("another process makes another piece (-first +second):\n%s", d)
	}
	for _, d := range s.Nothing {
		if p, err := r.files.Piece(d); err != nil || len(p.Content) > 0 {
			t.Errorf("%s does not concern the receiver: a piece of %d bytes, %v", d.ID, len(p.Content), err)
		}
	}
	terms := r.files.Terms()
	if terms != r.files.Terms() || terms.Pieces < 0 || terms.FirstNumber < 0 {
		t.Errorf("terms %+v", terms)
	}
	if terms.Confirms != (s.Answer != nil) {
		t.Errorf("confirms is %t, with an answer in the setup: %t", terms.Confirms, s.Answer != nil)
	}
}

func wrong(t *testing.T, s Setup) {
	r := s.stand(t, "hub")
	for _, d := range s.Wrong {
		_, err := r.files.Piece(d)
		want(t, err, fault.Record, "")
		if f := fault.Of(err); f != nil && (f.Reason == "" || strings.Contains(fmt.Sprint(f, f.Path, f.Rule), Planted)) {
			t.Errorf("%s: the fault has no reason, or a value of the person: %v", d.ID, f)
		}
	}
}

func build(t *testing.T, s Setup) {
	r := s.stand(t, "hub")
	f := r.file(t, s, 7)
	if !same(f, s.stand(t, "hub").file(t, s, 7)) {
		t.Error("another process builds another file")
	}
	if len(f.Parts) == 0 || len(f.Starts) != len(s.Changes) || !slices.IsSorted(f.Starts) {
		t.Errorf("%d parts, starts %v of %d pieces", len(f.Parts), f.Starts, len(s.Changes))
	}
	one, err := r.files.Build(connector.Numbering{Number: 8, Previous: 7, At: At}, r.pieces(t, s)[1:])
	if err != nil || len(one.Starts) != len(s.Changes)-1 {
		t.Errorf("a file of the others: starts %v, %v", one.Starts, err)
	}
}

func names(t *testing.T, s Setup) {
	r := s.stand(t, "hub")
	seen := map[string]bool{}
	for _, number := range []int64{1, 2, 1_000_000} {
		for _, p := range r.file(t, s, number).Parts {
			if seen[p.Name] || p.Name == "" || strings.Contains(p.Name, "/") {
				t.Errorf("file %d: the name %q", number, p.Name)
			}
			seen[p.Name] = true
			if strings.Contains(p.Name, Planted) {
				t.Errorf("file %d: a value of a person is in its name", number)
			}
		}
	}
}

// whole checks that all parts are there, once.
func (r *receiver) whole(t *testing.T, f connector.File) {
	t.Helper()
	for _, p := range f.Parts {
		if body, ok := r.content(p.Name); !ok || body != string(p.Content) {
			t.Errorf("the part %s is not there as it was built", p.Name)
		}
		if n := r.brought(p.Name); n != 1 {
			t.Errorf("the part %s was brought %d times", p.Name, n)
		}
	}
}

func twice(t *testing.T, s Setup) {
	r := s.stand(t, "hub")
	f := r.file(t, s, 7)
	for range 2 {
		if err := r.files.Put(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	r.whole(t, f)
}

// cutOff: the connection breaks at each step of a Put in turn. What the receiver
// waits for, the last part, is not there before all is.
func cutOff(t *testing.T, s Setup) {
	for _, cut := range []fake.Fault{
		{Status: 500, Match: fake.Match{Method: "put"}},
		{When: fake.AfterEffect, Times: 1, Match: fake.Match{Method: "put"}}, // the file is open, and not a byte is in it
		{Status: 500, Match: fake.Match{Method: "rename"}},
	} {
		method := cut.Match.Method
		for nth := range len(s.stand(t, "hub").file(t, s, 7).Parts) {
			r := s.stand(t, "hub")
			f := r.file(t, s, 7)
			cut.Match.Path = "*" + f.Parts[nth].Name + "*"
			if err := r.faults.Add(cut); err != nil {
				t.Fatal(err)
			}
			err := r.files.Put(t.Context(), f)
			if err == nil {
				t.Fatalf("%s of part %d failed, and Put says nothing", method, nth)
			}
			if x := fault.Of(err); x.Class == fault.Record {
				t.Errorf("%s of part %d: %v, which is nobody's fault in it", method, nth, err)
			}
			for i, p := range f.Parts {
				body, ok := r.content(p.Name)
				if ok && body != string(p.Content) {
					t.Errorf("%s of part %d: a half file has the name %s", method, nth, p.Name)
				}
				if ok && i >= nth {
					t.Errorf("%s of part %d: %s is there", method, nth, p.Name)
				}
			}
			r.faults.Clear()
			if err := r.files.Put(t.Context(), f); err != nil {
				t.Errorf("again after %s of part %d: %v", method, nth, err)
			}
			r.whole(t, f)
			for name := range r.there() {
				if !slices.ContainsFunc(f.Parts, func(p connector.FilePart) bool { return p.Name == last(name) }) && strings.Contains(name, f.Parts[nth].Name) {
					t.Errorf("%s of part %d: %s was left", method, nth, name)
				}
			}
		}
	}
}

func lost(t *testing.T, s Setup) {
	r := s.stand(t, "hub")
	f := r.file(t, s, 7)
	if err := r.faults.Add(fake.Fault{When: fake.AfterEffect, Times: 1, Match: fake.Match{Method: "rename"}}); err != nil {
		t.Fatal(err)
	}
	if err := r.files.Put(t.Context(), f); err != nil {
		want(t, err, fault.Transient, "")
		if err := r.files.Put(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	r.whole(t, f)
}

func overwritten(t *testing.T, s Setup) {
	r := s.stand(t, "hub")
	first := r.file(t, s, 7)
	if err := r.files.Put(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	other, err := r.files.Build(connector.Numbering{Number: 7, Previous: 6, At: At}, r.pieces(t, s)[1:])
	if err != nil {
		t.Fatal(err)
	}
	want(t, r.files.Put(t.Context(), other), fault.Record, connector.ReasonFileExists)
	r.whole(t, first)
}

func denied(t *testing.T, s Setup) {
	r := s.stand(t, "stranger")
	want(t, r.files.Put(t.Context(), r.file(t, s, 7)), fault.Target, "")
}

func ended(t *testing.T, s Setup) {
	r := s.stand(t, "hub")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f := r.file(t, s, 7)
	want(t, r.files.Put(ctx, f), fault.Transient, "")
	if n := len(r.there()); n > 0 {
		t.Errorf("%d files are there", n)
	}
}

// sent is how delivery asks about a file.
func (r *receiver) sent(t *testing.T, s Setup, f connector.File, number int64) connector.Sent {
	t.Helper()
	all := r.pieces(t, s)
	out := connector.Sent{Number: number, At: At, Starts: f.Starts, Piece: func(_ context.Context, i int) (connector.Piece, error) {
		if i == 0 {
			return connector.Piece{}, seal.ErrNoKey // was erased meanwhile
		}
		if i < 0 || i >= len(all) {
			return connector.Piece{}, errors.New("there is no such piece")
		}
		return all[i], nil
	}}
	for _, p := range f.Parts {
		out.Names = append(out.Names, p.Name)
	}
	return out
}

func silence(t *testing.T, s Setup) {
	r := s.stand(t, "hub")
	f := r.file(t, s, 7)
	if err := r.files.Put(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if s.Answer != nil {
		return // whose fake may answer by itself
	}
	if got, err := r.files.Answers(t.Context(), []connector.Sent{r.sent(t, s, f, 7)}); err != nil || len(got) > 0 {
		t.Errorf("answers %+v, %v", got, err)
	}
}

func answers(t *testing.T, s Setup) {
	r := s.stand(t, "hub")
	f, other := r.file(t, s, 7), r.file(t, s, 8)
	ask := []connector.Sent{r.sent(t, s, f, 7), r.sent(t, s, other, 8)}
	if got, err := r.files.Answers(t.Context(), ask); err != nil || len(got) > 0 {
		t.Fatalf("before anything was brought: %+v, %v", got, err)
	}
	if err := r.files.Put(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	s.Answer(t, r.vendor, f, 7)
	var first []connector.Answer
	for n := range 2 {
		got, err := r.files.Answers(t.Context(), ask)
		if err != nil || len(got) != 1 || got[0].Number != 7 {
			t.Fatalf("answers %+v, %v", got, err)
		}
		fatal := slices.DeleteFunc(slices.Clone(got[0].Refused), func(x connector.Refusal) bool { return x.Others })
		if len(fatal) != 1 || fatal[0].Index != 1 || fatal[0].Reason == "" {
			t.Errorf("refused %+v, want the piece at index 1", got[0].Refused)
		}
		if got[0].ID == "" || strings.Contains(fmt.Sprint(got), Planted) {
			t.Error("the answer has no id, or a value of a person")
		}
		if n == 0 {
			first = got
		} else if d := cmp.Diff(first, got); d != "" {
			t.Errorf("read again it is another (-first +second):\n%s", d)
		}
	}
	if got, err := r.files.Answers(t.Context(), ask[1:]); err != nil || len(got) > 0 {
		t.Errorf("an answer to a file that nobody asks about: %+v, %v", got, err)
	}
}
