package record_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// TestAnswered: what is packed is opened; only its head is in the clear; it is
// under the employee's keys once it is linked, under its own before.
func TestAnswered(t *testing.T) {
	c, keys := codec(t)
	token := c.Token("pulse", "resp-1")
	want := record.Answered{
		Source: "pulse", Survey: "f1", Status: record.AnswersUnlinked, Awaits: []string{"match.email.x"}, Event: "ev", Raw: 7, SubmittedAt: now, AcceptedAt: now, Config: "c0ffee",
		Body: json.RawMessage(`{ "survey":"f1","response":"resp-1","submitted_at":"2026-06-15T16:00:00Z","respondent":{"email":"zofia@acme.example"},"answers":[{"question":"q","kind":"text","value":"Zofia"}]}`),
	}
	ids := map[string]bool{}
	for _, employee := range []string{"", "emp"} {
		want.Employee = employee
		if employee != "" {
			want.Status, want.LinkedBy, want.Awaits = record.AnswersLinked, "email", nil
		}
		m, err := c.Answer(t.Context(), token, want)
		if err != nil {
			t.Fatal(err)
		}
		if m.Subject != topology.Survey("f1", token) || m.Event.Type() != event.SurveyResponseReceivedV1 {
			t.Errorf("%s %s", m.Subject, m.Event.Type())
		}
		ids[m.Event.ID()] = true
		hidden(t, m, "Zofia", "zofia", "resp-1")
		got, r, err := c.OpenAnswered(t.Context(), token, m.Event)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, d)
		}
		if r.Employee != employee || r.Response != "resp-1" || len(r.Answers) != 1 {
			t.Errorf("response %+v", r)
		}
		owner := employee
		if owner == "" {
			owner = token
		}
		keys.Delete(topology.Key("restricted", owner))
		c.Sealer.Forget(owner)
		if _, _, err := c.OpenAnswered(t.Context(), token, m.Event); !errors.Is(err, seal.ErrNoKey) {
			t.Errorf("of %q after erasing: %v", employee, err)
		}
	}
	if len(ids) != 2 {
		t.Error("unlinked and linked have one id")
	}
	want.Survey = "a survey's name"
	if m, err := c.Answer(t.Context(), token, want); err != nil || m.Subject != "hr.survey.-."+token {
		t.Errorf("%s, %v", m.Subject, err)
	}
	if _, _, err := c.OpenAnswered(t.Context(), token, event.New("x", "/x", event.SurveyResponseReceivedV1, []byte("not ours"))); fault.Of(err) == nil || fault.Of(err).Class != fault.Record {
		t.Errorf("what is not ours: %v", err)
	}
}
