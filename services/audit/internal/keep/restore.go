package keep

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/ledger"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// rowsLost is the type of the note that a database lost rows.
const rowsLost = "hr.audit.rows_lost.v1"

// loss is the head of that note. Of what lies between its ends, what has no row
// is lost.
type loss struct {
	Stream string `json:"stream"`
	From   uint64 `json:"from"` // sequences in the stream
	To     uint64 `json:"to"`
}

// restore brings the ledger up to what was acknowledged, or to known, if that is
// more: it is behind only when the database has lost commits. What the stream
// still has is written again; that the rest is gone is told by a record in AUDIT,
// which outlives this database, by the log and by a metric.
func (k *Keeper) restore(ctx context.Context, stream string, known uint64) error {
	var state bus.ConsumerState
	var head ledger.Head
	var ins []bus.In
	next := uint64(0)
	page := func() (err error) { // of what follows, as far as it was acknowledged
		ins, err = k.bus.From(ctx, stream, "hr.>", next)
		ins = slices.DeleteFunc(ins, func(in bus.In) bool { return in.Seq > known })
		return err
	}
	err := k.shown(ctx, "compare the ledger with "+stream, func() (err error) {
		if state, err = k.bus.ConsumerState(ctx, stream, topology.AuditAll); err != nil {
			return err
		}
		if head, err = k.ledger.Resume(ctx, stream); err != nil {
			return err
		}
		known, next = max(known, state.AckFloor), head.Seq+1
		if next > known {
			return nil
		}
		return page()
	})
	if err != nil || next > known || len(ins) == 0 && !state.AckAll { // what is replaced unread counts as acknowledged too
		return err
	}
	if err := k.noteLoss(ctx, loss{stream, next, known}); err != nil {
		return err
	}
	written := uint64(0)
	for len(ins) > 0 {
		if err := k.write(ctx, stream, ins, make([]ledger.Record, len(ins))); err != nil {
			return err
		}
		written += uint64(len(ins))
		next = ins[len(ins)-1].Seq + 1
		if err := k.shown(ctx, "read "+stream+" again", page); err != nil {
			return err
		}
	}
	gone := known - head.Seq - written
	k.o.Log.ErrorContext(ctx, "the database had lost rows that it had committed: find out why, and if it is a copy that lags, make its commits wait for it",
		"stream", stream, "from", head.Seq+1, "to", known, "written_again", written, "gone", gone)
	if k.o.Metrics.Lost != nil {
		k.o.Metrics.Lost(stream, gone)
	}
	return nil
}

// noteLoss comes before anything is written again: after that nobody could tell.
func (k *Keeper) noteLoss(ctx context.Context, l loss) error {
	if k.o.Codec == nil {
		return nil
	}
	head, err := json.Marshal(l)
	if err != nil {
		return err
	}
	data, err := k.o.Codec.Sealer.Seal(ctx, "", "", seal.Envelope{Head: head}) // nothing to seal: no key is fetched
	if err != nil {
		return err
	}
	id := k.o.Codec.Sealer.Token("rows_lost", l.Stream, fmt.Sprint(l.From), fmt.Sprint(l.To))
	return k.persist(ctx, "note a loss", func() error {
		_, err := k.bus.Publish(ctx, topology.Audit, bus.Out{
			Subject: topology.AuditOf("audit", "rows_lost"), Event: event.New(id, "/muster/"+k.o.Codec.Company+"/audit", rowsLost, data),
		})
		return err
	})
}
