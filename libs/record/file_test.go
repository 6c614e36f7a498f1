package record_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// TestStagedIsSealed: of a piece only its ids can be read without a key, pay
// only with the restricted one, and all comes back as it was.
func TestStagedIsSealed(t *testing.T) {
	c, _ := codec(t)
	for _, restricted := range []bool{false, true} {
		in := record.Delivery{Target: "carrier", Employee: "emp1", Event: "e2", Version: 2, Outcome: record.OutcomeAccepted, Body: map[string]any{"pay": "Planted2"}, Staged: []record.Staged{
			{Event: "e1", Version: 1, At: time.Unix(9, 0).UTC(), Keys: []string{"Planted|k"}, Content: []byte("Planted\x00\xff"), Digest: "d", Status: "active"},
			{Event: "e2", Version: 2, At: time.Unix(10, 0).UTC(), Cut: true, Content: []byte("x"), Before: map[string]any{"pay": "Planted1"}},
		}}
		msg, err := c.Deliver(t.Context(), in, restricted)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(msg.Event.Data(), []byte("Planted")) {
			t.Error("a value can be read")
		}
		got, err := c.OpenDelivery(t.Context(), "emp1", msg.Event, restricted)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(in, got); d != "" {
			t.Errorf("restricted %t (-want +got):\n%s", restricted, d)
		}
		if restricted {
			got, err := c.OpenDelivery(t.Context(), "emp1", msg.Event, false)
			if err != nil || len(got.Staged) != 2 || got.Staged[0].Content != nil || got.Staged[1].Before != nil {
				t.Errorf("without the right to it: %+v, %v", got.Staged, err)
			}
		}
	}
}

func TestFileRecord(t *testing.T) {
	c, _ := codec(t)
	in := record.File{
		Target: "carrier", Number: 187, Previous: 186, Outcome: record.FileAnswered, Built: time.Unix(9, 0).UTC(), At: time.Unix(10, 0).UTC(), Config: "c1",
		Content: record.Content{Names: []string{"F"}, SHA256: []string{"ab"}, Sizes: []int{2}, Members: []record.Member{{Employee: "emp1", Event: "e1", Version: 1}}, Starts: []int{2}},
		Earlier: &record.Content{Names: []string{"F"}, SHA256: []string{"cd"}, Sizes: []int{3}},
		Answer:  &record.FileAnswer{ID: "a", Refused: []record.FileRefusal{{Index: -1, Reason: "r", Others: true}}},
	}
	msg, err := c.File(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if msg.Subject != "hr.delivered.carrier._file.187" || topology.Token(msg.Subject, 3) != topology.Files {
		t.Errorf("subject %s", msg.Subject)
	}
	got, err := record.OpenFile(msg.Event)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(in, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	again, err := c.File(t.Context(), in)
	if err != nil || again.Event.ID() != msg.Event.ID() {
		t.Errorf("the same news has another id: %v", err)
	}
	in.Outcome = record.FileSettled
	if next, err := c.File(t.Context(), in); err != nil || next.Event.ID() == msg.Event.ID() {
		t.Errorf("other news has the same id: %v", err)
	}
	data, err := c.Sealer.Seal(t.Context(), "", "", seal.Envelope{Head: []byte(`{"number":"x"}`)})
	if err != nil {
		t.Fatal(err)
	}
	if err := msg.Event.SetData("application/octet-stream", data); err != nil {
		t.Fatal(err)
	}
	if _, err := record.OpenFile(msg.Event); err == nil || strings.Contains(err.Error(), `"x"`) {
		t.Errorf("a head of another form: %v", err)
	}
}
