package record_test

import (
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/topology"
)

// TestFrame: what is packed is opened, on the subject that frames a source's
// reads; what is not ours does not open.
func TestFrame(t *testing.T) {
	c, _ := codec(t)
	want := record.Read{
		Source: "roster", Read: "a-1", Outcome: connector.Partial, Cursor: `{"last":7}`, Records: 3, Total: 12, Rejected: 1, More: true,
		At: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC),
	}
	msg, err := c.Frame(t.Context(), event.ReadEndedV1, want)
	if err != nil || msg.Subject != topology.RawReads("roster") || msg.Event.Type() != event.ReadEndedV1 {
		t.Fatalf("%+v, %v", msg, err)
	}
	if got, err := c.OpenFrame(msg.Event); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	begun, err := c.Frame(t.Context(), event.ReadBegunV1, want)
	if err != nil || begun.Event.ID() == msg.Event.ID() {
		t.Errorf("two frames have one id (%v)", err)
	}
	if _, err := c.OpenFrame(event.New("x", "/x", event.ReadEndedV1, []byte("not ours"))); fault.Of(err) == nil || fault.Of(err).Class != fault.Record {
		t.Errorf("what is not ours: %v", err)
	}
}
