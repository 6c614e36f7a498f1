package keep

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/ledger"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// Responses on SURVEYS become facts: what was chosen and counted, not what was
// written; linked later the same rows, and nothing of one whose key is gone.
func TestAnswersBecomeFacts(t *testing.T) {
	b := setup(t)
	keys := &seal.Memory{}
	sealer, err := seal.New(t.Context(), keys, master(t), seal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	codec := record.Codec{Sealer: sealer, Company: "acme"}
	put := func(response string, a record.Answered) {
		t.Helper()
		a.Source, a.Survey, a.Event, a.AcceptedAt, a.SubmittedAt = "pulse", "f1", "ev-"+response, time.Now().UTC(), time.Date(2026, 5, 4, 8, 15, 9, 0, time.UTC)
		a.Body = json.RawMessage(`{"survey":"f1","response":"` + response + `","submitted_at":"2026-05-04T08:15:09Z","answers":[
			{"question":"enps","kind":"enps","value":0,"min":0,"max":10},{"question":"why","kind":"text","value":"Zofia said"},
			{"question":"stay","kind":"yes_no","value":false},{"question":"perks","kind":"choices","value":["Bike","Zofia"],"own":true}]}`)
		m, err := codec.Answer(t.Context(), codec.Token("pulse", response), a)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.bus.Publish(t.Context(), topology.Surveys, bus.Out{Subject: m.Subject, Event: m.Event}); err != nil {
			t.Fatal(err)
		}
	}
	put("one", record.Answered{Status: record.AnswersUnlinked, Awaits: []string{"match.email.x"}})
	put("one", record.Answered{Status: record.AnswersLinked, Employee: "emp1", LinkedBy: "email"})
	put("anonymous", record.Answered{Status: record.AnswersAnonymous})
	put("erased", record.Answered{Status: record.AnswersLinked, Employee: "emp2", LinkedBy: "email"})
	keys.Delete(topology.Key("restricted", "emp2"))
	sealer.Forget("emp2")
	foreign := event.New("x", "/x", event.SurveyResponseReceivedV1, []byte("not ours"))
	if _, err := b.bus.Publish(t.Context(), topology.Surveys, bus.Out{Subject: "hr.survey.f1.x", Event: foreign}); err != nil {
		t.Fatal(err)
	}

	added := make(chan int, 100)
	k := New(b.bus, b.ledger, Options{
		Streams: []string{topology.Surveys}, Codec: &codec, Within: 5 * time.Millisecond,
		Metrics: Metrics{Rows: func(_ string, n int) { added <- n }},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	for n := 0; n < 5; {
		select {
		case more := <-added:
			n += more
		case <-time.After(30 * time.Second):
			t.Fatalf("%d rows", n)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}

	// What was sealed under the response's own keys goes once it is linked.
	for _, stream := range Trimmed {
		if _, err := Trim(t.Context(), b.bus, stream); err != nil {
			t.Fatal(err)
		}
	}
	var kept []string
	if err := b.bus.Each(t.Context(), topology.Surveys, topology.Survey("f1", codec.Token("pulse", "one")), func(in bus.In) error {
		a, err := record.AnsweredHead(in.Event)
		kept = append(kept, a.Status)
		return err
	}); err != nil || len(kept) != 1 || kept[0] != record.AnswersLinked {
		t.Errorf("kept of the response: %v (%v)", kept, err)
	}

	got, next, err := b.ledger.Surveys(t.Context(), ledger.Which{}, 0, "")
	if err != nil || next != "" {
		t.Fatal(err, next)
	}
	type row struct {
		status, employee, by string
		answers              int
	}
	rows := map[string]row{}
	for _, r := range got {
		x := row{status: r.Status, by: r.LinkedBy, answers: len(r.Answers)}
		if r.Employee != nil {
			x.employee = *r.Employee
		}
		rows[r.ID] = x
	}
	want := map[string]row{
		codec.Token("pulse", "one"):       {"linked", "emp1", "email", 4},
		codec.Token("pulse", "anonymous"): {"anonymous", "", "", 4},
	}
	if d := cmp.Diff(want, rows, cmp.AllowUnexported(row{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	var text string
	if err := b.conn.QueryRow(t.Context(), `SELECT string_agg(f::text, ' ') || string_agg(r::text, ' ') FROM survey_facts f, survey_responses r`).Scan(&text); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, "enps") || strings.Contains(text, "Zofia") {
		t.Errorf("somebody's own words are in the tables: %s", text)
	}
}
