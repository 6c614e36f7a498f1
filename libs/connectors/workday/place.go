package workday

import (
	"encoding/json"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

// place is the cursor: when the newest reads began, and the one under way.
// Nothing of a report is in it.
type place struct {
	Full string  `json:"full,omitempty"` // when the newest read of everybody that came to its end began, RFC 3339
	Mark string  `json:"mark,omitempty"` // the same of any read: changes are read from there
	Open *opened `json:"open,omitempty"`
	Cut  int     `json:"cut,omitempty"` // reads that were cut off since
}

// opened is a read whose last page has not come.
type opened struct {
	Start string `json:"start"`           // when it began, RFC 3339
	Since string `json:"since,omitempty"` // from when it reads changes; "": everybody
	Rows  int    `json:"rows"`            // that were given on
}

func parsePlace(c connector.Cursor) (place, error) {
	p := place{}
	if c == "" {
		return p, nil
	}
	err := json.Unmarshal([]byte(c), &p)
	for _, at := range []string{p.Full, p.Mark} {
		if _, bad := time.Parse(time.RFC3339Nano, at); at != "" && bad != nil {
			err = bad
		}
	}
	if err != nil {
		return p, fault.New(fault.Target, "cursor", "the saved cursor is not one of this connector")
	}
	return p, nil
}

func (p *place) cursor() (connector.Cursor, error) {
	b, err := json.Marshal(p)
	return connector.Cursor(b), err
}

func instant(s string) time.Time {
	t, _ := time.Parse(time.RFC3339Nano, s) // zero if it is none
	return t
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
