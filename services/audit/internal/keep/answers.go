package keep

import (
	"context"
	"errors"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/ledger"
	"github.com/muster-hr/muster/libs/seal"
)

// answered tells whether a record is a response that can be opened. A message
// that cannot be read has no type.
func (k *Keeper) answered(r *ledger.Record) bool {
	return k.o.Codec != nil && r.Type == event.SurveyResponseReceivedV1
}

// answers puts what a response says beside its record. One whose keys were
// erased, or that is not ours, is a record like any other; an error means that
// the keys could not be asked for.
func (k *Keeper) answers(ctx context.Context, in bus.In, r *ledger.Record) error {
	a, response, err := k.o.Codec.OpenAnswered(ctx, r.KeyToken, in.Event)
	switch {
	case err == nil:
		r.Answers = &ledger.Answers{Status: a.Status, LinkedBy: a.LinkedBy, AcceptedAt: a.AcceptedAt, Response: response}
	case errors.Is(err, seal.ErrNoKey), fault.Of(err).Class == fault.Record:
	default:
		return err
	}
	return nil
}
