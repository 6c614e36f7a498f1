package record

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// Read is a message on `hr.raw.<source>._read`. All of it is in the clear.
//
//	begun   a full read begins: its records follow
//	paged   what a page brought is durable before this
//	ended   the full read has ended, and this page was its last
//
// The newest one, whichever it is, is the poller's memory: its cursor is where
// the next page begins. After a crash a page comes again, so a read may begin
// twice and a record may stand between the frames twice, with equal ids.
type Read struct {
	Source   string           `json:"source"`
	Read     string           `json:"read,omitempty"`     // the full read; absent: a page of changes
	Outcome  connector.Ending `json:"outcome,omitempty"`  // of one that has ended: complete, partial or failed
	Cursor   connector.Cursor `json:"cursor"`             // where to go on
	Records  int              `json:"records"`            // of this page
	Total    int              `json:"total,omitempty"`    // records of the full read so far
	Rejected int              `json:"rejected,omitempty"` // of the full read so far: what became a dead letter
	More     bool             `json:"more,omitempty"`     // the sweep is not at its end
	At       time.Time        `json:"at"`
}

// Frame packs a message on the subject that frames a source's reads; typ is
// ReadBegunV1, ReadPagedV1 or ReadEndedV1.
func (c Codec) Frame(ctx context.Context, typ string, r Read) (Message, error) {
	r.At = r.At.UTC()
	head, err := json.Marshal(r)
	if err != nil {
		return Message{}, err
	}
	data, err := c.Sealer.Seal(ctx, "", "", seal.Envelope{Head: head}) // nothing to seal: no key is fetched
	if err != nil {
		return Message{}, err
	}
	id := c.Sealer.Token("read", r.Source, typ, r.Read, string(r.Cursor), r.At.String(), strconv.Itoa(r.Total))
	return Message{topology.RawReads(r.Source), event.New(id, "/muster/"+c.Company+"/poller", typ, data)}, nil
}

// OpenFrame opens what Frame packed. What is not ours is a fault of class Record.
func (c Codec) OpenFrame(e event.Event) (Read, error) {
	head, err := seal.Head(e.Data())
	if err != nil {
		return Read{}, fault.New(fault.Record, "envelope", "%w", err)
	}
	var r Read
	return r, foreign(decode("head", e.Type(), head, &r))
}
