package csv

import (
	"bytes"
	"context"
	stdcsv "encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/sftpx"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/seal"
)

// ackFile is what a receiver says of a file as a whole.
type ackFile struct {
	File     string `json:"file"`
	Sequence int64  `json:"sequence"`
	Status   string `json:"status"` // accepted, accepted_with_rejects, rejected
	Rows     struct {
		Rejected int `json:"rejected"`
	} `json:"rows"`
	RejectFile string `json:"reject_file"`
}

// maxAnswer is the size above which an answer is none.
const maxAnswer = 16 << 20

// Answers reads the acknowledgements that lie there of files that await one.
// They stay where they are.
func (t *target) Answers(ctx context.Context, open []connector.Sent) (out []connector.Answer, err error) {
	if t.ack == "" || len(open) == 0 {
		return nil, nil
	}
	err = t.client.With(ctx, func(s *sftpx.Session) error {
		files, err := s.List(t.ackFolder)
		if err != nil {
			return err
		}
		there := map[string]bool{}
		for _, f := range files {
			there[f.Name] = true
		}
		var errs []error
		for _, o := range open {
			if len(o.Names) == 0 || !there[beside(t.ack, o.Names[0])] {
				continue
			}
			a, ready, err := t.answer(ctx, s, o, there)
			if err != nil {
				errs = append(errs, err)
			} else if ready {
				out = append(out, a)
			}
		}
		return errors.Join(errs...)
	})
	return out, err
}

// answer reads one file's; false while it is still being laid down.
func (t *target) answer(ctx context.Context, s *sftpx.Session, o connector.Sent, there map[string]bool) (a connector.Answer, ready bool, err error) {
	raw, err := s.Read(path.Join(t.ackFolder, beside(t.ack, o.Names[0])), maxAnswer)
	if err != nil {
		return a, false, err
	}
	var ack ackFile
	if err := json.Unmarshal(raw, &ack); err != nil {
		return a, false, nil //nolint:nilerr // half of it
	}
	if ack.Sequence != o.Number || ack.File != "" && ack.File != o.Names[0] {
		return a, false, fault.New(fault.Target, "ack_of_another", "the acknowledgement of file %d is of another file", o.Number)
	}
	a = connector.Answer{Number: o.Number, ID: sum(raw)[:32]}
	switch {
	case ack.Status == "rejected":
		a.Refused = []connector.Refusal{{Index: -1, Reason: "file_rejected"}}
		return a, true, nil
	case ack.Status == "accepted" && ack.Rows.Rejected == 0:
		return a, true, nil
	case ack.Status != "accepted" && ack.Status != "accepted_with_rejects":
		return a, false, fault.New(fault.Target, "ack_status", "the acknowledgement of file %d has a status that was not agreed", o.Number)
	}
	name := beside(t.rejects, o.Names[0])
	if ack.RejectFile != "" && !strings.ContainsAny(ack.RejectFile, "/\\") {
		name = ack.RejectFile
	}
	if !there[name] {
		return a, false, nil
	}
	listed, err := s.Read(path.Join(t.ackFolder, name), maxAnswer)
	if err != nil {
		return a, false, err
	}
	rejects, err := t.rejected(listed)
	if err != nil || len(rejects) < max(ack.Rows.Rejected, 1) {
		return a, false, err // some are still to come
	}
	a.ID = sum(append(raw, listed...))[:32]
	for _, r := range rejects {
		i, err := t.tie(ctx, o, r)
		if err != nil {
			return a, false, err
		}
		if !slices.ContainsFunc(a.Refused, func(x connector.Refusal) bool { return x.Index == i }) {
			a.Refused = append(a.Refused, connector.Refusal{Index: i, Reason: word(r.code), Path: t.known(r.field), Rule: "line " + strconv.Itoa(r.line)})
		}
	}
	return a, true, nil
}

// rejectedRow is a line of a file of rejects.
type rejectedRow struct {
	line                int // of the file that was sent, from 1
	number, field, code string
}

// rejected reads a file of rejects by the names of its columns.
func (t *target) rejected(raw []byte) (out []rejectedRow, err error) {
	text, err := decode(raw, t.encoding)
	if err != nil {
		return nil, fault.New(fault.Target, "rejects_form", "a file of rejects is not in the encoding of the files")
	}
	r := stdcsv.NewReader(bytes.NewReader(text))
	r.Comma, r.FieldsPerRecord = []rune(t.comma)[0], -1
	header, err := r.Read()
	at := map[string]int{}
	for i, c := range header {
		at[strings.ToLower(strings.TrimSpace(c))] = i
	}
	_, line := at["line_number"]
	_, number := at[colNumber]
	if err != nil || !line || !number {
		return nil, fault.New(fault.Target, "rejects_form", "a file of rejects needs the columns line_number and employee_number")
	}
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		cell := func(column string) string {
			if i, ok := at[column]; ok && i < len(cells) {
				return cells[i]
			}
			return ""
		}
		n, bad := strconv.Atoi(cell("line_number"))
		if err != nil || bad != nil {
			return nil, fault.New(fault.Target, "rejects_form", "a file of rejects has a line that cannot be read")
		}
		out = append(out, rejectedRow{line: n, number: cell(colNumber), field: cell("field"), code: cell("code")})
	}
}

// tie finds whose row was rejected, by line and by key. Where the two disagree
// the key counts, if it is in the file once: lines are counted in many ways.
func (t *target) tie(ctx context.Context, o connector.Sent, r rejectedRow) (int, error) {
	at, after := slices.BinarySearch(o.Starts, r.line)
	if !after {
		at--
	}
	if at >= 0 {
		rows, err := t.of(ctx, o, at)
		switch {
		case errors.Is(err, seal.ErrNoKey):
			return at, nil // an erased person's piece is known by its line alone
		case err != nil:
			return 0, err
		case r.line-o.Starts[at] < len(rows) && rows[r.line-o.Starts[at]].Values[colNumber] == r.number:
			return at, nil
		}
	}
	found := -1
	for i := range o.Starts {
		rows, err := t.of(ctx, o, i)
		if err != nil && !errors.Is(err, seal.ErrNoKey) {
			return 0, err
		}
		if err != nil || rows[0].Values[colNumber] != r.number {
			continue
		}
		if found >= 0 {
			found = -1
			break
		}
		found = i
	}
	if found < 0 {
		return 0, fault.New(fault.Target, "reject_of_nobody", "a rejected row of file %d is of nobody in it", o.Number)
	}
	return found, nil
}

func (t *target) of(ctx context.Context, o connector.Sent, index int) ([]change, error) {
	p, err := o.Piece(ctx, index)
	if err != nil {
		return nil, err
	}
	return rowsOf(p)
}

// known is a column of ours; what else a receiver names could be a value.
func (t *target) known(field string) string {
	if slices.Contains(t.columns, field) {
		return field
	}
	return ""
}

// word makes of a receiver's code a reason that can be counted.
func word(code string) string {
	w := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		case r == '-', r == ' ':
			return '_'
		}
		return -1
	}, code)
	if w == "" || len(w) > 40 {
		return "rejected"
	}
	return w
}
