package deliver

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// recall reads the index from DELIVERED: the last record of every file, then of
// every person at this target, of whom the heads say what is staged; no key is
// needed. It is done once, before the lanes run: the last record of a person is
// read and looked at, 100,000 of them within a few seconds.
func (f *filing) recall(ctx context.Context) error {
	of := map[record.Member]int64{}
	err := f.d.Bus.EachLast(ctx, topology.Delivered, topology.DeliveredFiles(f.d.Target.Name), func(in bus.In) error {
		if in.Err != nil {
			return fmt.Errorf("a record of a file: %w", in.Err)
		}
		r, err := record.OpenFile(in.Event)
		if err != nil {
			return err // without it a number could be used twice
		}
		f.took(&sent{r, in.Seq})
		if r.Outcome != record.FileSettled {
			for _, m := range r.Members {
				of[m] = r.Number
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(f.open, func(a, b *sent) int { return cmp.Compare(a.Number, b.Number) })
	return f.d.Bus.EachLast(ctx, topology.Delivered, topology.DeliveredTo(f.d.Target.Name, "*"), func(in bus.In) error {
		var r struct {
			Staged []record.Staged `json:"staged"`
		}
		if in.Err != nil {
			return nil //nolint:nilerr // passed over as everywhere; it cannot be a member
		}
		head, err := seal.Head(in.Event.Data())
		if err == nil {
			err = json.Unmarshal(head, &r)
		}
		if err != nil {
			f.d.Log.ErrorContext(ctx, "a record of a delivery cannot be read", "sequence", in.Seq)
			return nil //nolint:nilerr // one person must not stop all
		}
		id := topology.Last(in.Subject)
		for _, s := range r.Staged {
			if spent(&s) {
				continue
			}
			m := mark{event: s.Event, version: s.Version, at: s.At, file: of[record.Member{Employee: id, Event: s.Event, Version: s.Version}]}
			if f.staged[id] = append(f.staged[id], m); m.file == 0 {
				f.free++
			}
		}
		return nil
	})
}
