package workday

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

// answers opens a report that was saved.
type answers struct{ feed }

func newAnswers(a connector.Account) (connector.Answers, error) {
	return answers{feed{key: cmp.Or(a.Text("key"), defaultKey)}}, nil
}

// OpenAnswer gives the rows as records. now stands for the start of the read.
func (a answers) OpenAnswer(body []byte, now time.Time) ([]connector.Record, error) {
	all := newRows(bytes.NewReader(bytes.Clone(body)), int64(len(body)), int64(len(body)))
	recs := []connector.Record{}
	for {
		row, err := all.next()
		if errors.Is(err, io.EOF) {
			return recs, nil
		}
		if err != nil {
			return nil, fault.New(fault.Record, "unreadable", "the answer is no whole report")
		}
		key, reason := a.keyOf(row)
		if reason != "" {
			f := fault.New(fault.Record, reason, "a row of the report has no key")
			f.Path = member
			return nil, f
		}
		recs = append(recs, record(key, row, now))
	}
}
