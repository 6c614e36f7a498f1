package workday

import (
	"encoding/json"
	"errors"
	"io"

	"github.com/muster-hr/muster/libs/fault"
)

// member is where a report's rows stand: {"Report_Entry": [{…}, …]}.
const member = "Report_Entry"

// rows reads a report row by row and never holds more than one, so that a report
// may be of any length.
type rows struct {
	in    *limited
	dec   *json.Decoder
	found bool
	at    int // of the row that was read last, from 0
}

func newRows(r io.Reader, maxRow, maxBytes int64) *rows {
	in := &limited{r: r, row: maxRow, all: maxBytes}
	return &rows{in: in, dec: json.NewDecoder(in), at: -1}
}

// next gives the next row as it was sent; io.EOF after the last one of a report
// that ended as it should. Anything else is a fault: Transient "cut_off" for an
// answer that ends too early, Transient "answer" for one that is no report,
// Target "too_large", or that of reading.
func (r *rows) next() (json.RawMessage, error) {
	if !r.found {
		if err := r.begin(); err != nil {
			return nil, r.faulty(err)
		}
		r.found = true
	}
	if !r.dec.More() {
		return nil, r.end()
	}
	r.in.used = 0
	var row json.RawMessage
	if err := r.dec.Decode(&row); err != nil {
		return nil, r.faulty(err)
	}
	r.at++
	return row, nil
}

// begin goes to the first row.
func (r *rows) begin() error {
	if err := r.delim('{'); err != nil {
		return err
	}
	for r.dec.More() {
		name, err := r.dec.Token()
		if err != nil {
			return err
		}
		if name == member {
			return r.delim('[')
		}
		if err := r.skip(); err != nil {
			return err
		}
	}
	if _, err := r.dec.Token(); err != nil {
		return err
	}
	return errForm
}

// end reads what stands behind the last row: only a report that is closed is whole.
func (r *rows) end() error {
	if err := r.delim(']'); err != nil {
		return r.faulty(err)
	}
	for r.dec.More() {
		if _, err := r.dec.Token(); err != nil {
			return r.faulty(err)
		}
		if err := r.skip(); err != nil {
			return r.faulty(err)
		}
	}
	if err := r.delim('}'); err != nil {
		return r.faulty(err)
	}
	if _, err := r.dec.Token(); err != io.EOF {
		if err == nil {
			err = errForm
		}
		return r.faulty(err)
	}
	return io.EOF
}

func (r *rows) delim(want json.Delim) error {
	r.in.used = 0
	got, err := r.dec.Token()
	if err == nil && got != want {
		err = errForm
	}
	return err
}

// skip passes over a value that is not ours.
func (r *rows) skip() error {
	r.in.used = 0
	var value json.RawMessage
	return r.dec.Decode(&value)
}

var (
	errForm     = errors.New("the answer is no report")
	errTooLarge = errors.New("the answer is too large")
)

func (r *rows) faulty(err error) error {
	if r.in.failed != nil { // the decoder may have made another error of it
		err = r.in.failed
	}
	return faulty(err)
}

// faulty classifies an error of reading a report. The decoder's own text is not
// passed on: it quotes what it read.
func faulty(err error) error {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fault.New(fault.Transient, "cut_off", "the report ends before its end")
	case errors.Is(err, errTooLarge):
		return fault.New(fault.Target, "too_large", "a row or the whole report is larger than max_row and max_bytes allow")
	}
	return fault.New(fault.Transient, "answer", "the answer is not the JSON of a report")
}

// limited bounds what is read for one value and for all.
type limited struct {
	r      io.Reader
	row    int64
	all    int64
	used   int64 // since the last value
	total  int64
	failed error
}

func (l *limited) Read(b []byte) (int, error) {
	if l.failed != nil {
		return 0, l.failed
	}
	n, err := l.r.Read(b)
	l.used += int64(n)
	l.total += int64(n)
	if l.used > l.row+int64(len(b)) || l.total > l.all {
		err = errTooLarge
	}
	if err != nil && err != io.EOF {
		l.failed = err
		return 0, err
	}
	return n, err
}
