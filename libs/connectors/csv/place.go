package csv

import (
	"encoding/json"
	"slices"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

// place is the cursor: what lies in the folder as it was seen last, and the
// file that is being read. It stands in the clear, so it knows files by tokens
// of their names, which may hold anything.
type place struct {
	Last uint64           `json:"last,omitempty"` // order of the newest file that was taken
	Sums []string         `json:"sums,omitempty"` // of files that were taken, the newest at the end
	Seen map[string]*seen `json:"seen,omitempty"` // by token
	Open *opened          `json:"open,omitempty"`
	Away *away            `json:"away,omitempty"` // its pages are durable with this cursor
}

// seen is one file that lies there.
type seen struct {
	Size  int64  `json:"size"`
	Time  int64  `json:"time"`            // by the server, Unix
	Since int64  `json:"since"`           // by us: since when it looks like that
	First int64  `json:"first"`           // by us: when it was seen first
	Done  bool   `json:"done,omitempty"`  // taken or refused; not looked into until it changes
	Told  string `json:"told,omitempty"`  // what a person was told about it
	Bad   string `json:"bad,omitempty"`   // the hash of what was refused
	Proof string `json:"proof,omitempty"` // size and time of its manifest
}

// opened is the file that is being read.
type opened struct {
	Token string            `json:"token"`
	Sum   string            `json:"sum"`
	Order uint64            `json:"order,omitempty"`
	Next  int               `json:"next"` // of its items
	As    connector.Version `json:"as"`
}

// away is a file that is to be moved or deleted.
type away struct {
	Token   string `json:"token"`
	Refused bool   `json:"refused,omitempty"`
	Sum     string `json:"sum"` // tells two files of one name apart in the archive
}

// keepSums is how many files are recognised when they come again.
const keepSums = 200

// short is how much of a hash the cursor keeps.
const short = 32

func parsePlace(c connector.Cursor) (place, error) {
	p := place{}
	if c != "" {
		if err := json.Unmarshal([]byte(c), &p); err != nil {
			return p, fault.New(fault.Target, "cursor", "the saved cursor is not one of this connector")
		}
	}
	if p.Seen == nil {
		p.Seen = map[string]*seen{}
	}
	return p, nil
}

func (p *place) cursor() (connector.Cursor, error) {
	b, err := json.Marshal(p)
	return connector.Cursor(b), err
}

// took notes that a file was taken whole.
func (p *place) took(sum string, order uint64) {
	p.Sums = append(slices.DeleteFunc(p.Sums, func(s string) bool { return s == sum }), sum)
	if n := len(p.Sums) - keepSums; n > 0 {
		p.Sums = slices.Delete(p.Sums, 0, n)
	}
	p.Last = max(p.Last, order)
}

func token(name string) string { return sum([]byte(name))[:16] }
