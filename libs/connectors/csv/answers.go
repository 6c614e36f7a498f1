package csv

import (
	"errors"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

type answers struct{ feed }

func newAnswers(a connector.Account) (connector.Answers, error) {
	f, err := read(a)
	return answers{f}, err
}

// OpenAnswer opens a file as it lies on the server. It has no name there, so
// its version is the time of the read. A rejected row is an ignored record
// whose event says where and why.
func (a answers) OpenAnswer(body []byte, now time.Time) ([]connector.Record, error) {
	if int64(len(body)) > a.maxBytes {
		return nil, refused(refusal{reason: "too_large"})
	}
	t, err := a.parse(body, -1)
	if err != nil {
		return nil, refused(err)
	}
	v := readVersion(now)
	out := make([]connector.Record, 0, len(t.items)+len(t.faults))
	for _, it := range t.items {
		rec, err := a.record(t, it, v)
		if err != nil {
			return nil, refused(refusal{reason: "encoding"})
		}
		out = append(out, rec)
	}
	for _, bad := range t.faults {
		out = append(out, connector.Record{Kind: connector.KindIgnored, Key: bad.key, ID: bad.path(), Event: bad.reason + " at " + bad.path()})
	}
	return out, nil
}

func readVersion(now time.Time) connector.Version {
	return connector.Version{Scale: connector.ScaleRead, Value: now.UTC().Format(time.RFC3339Nano)}
}

// refused is a refusal as a fault.
func refused(err error) error {
	r, ok := errors.AsType[refusal](err)
	if !ok {
		return err
	}
	return &fault.Error{Class: fault.Record, Reason: r.reason, Path: r.path, Err: errors.New("the file is refused")}
}
