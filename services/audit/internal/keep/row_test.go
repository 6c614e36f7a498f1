package keep

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/ledger"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

var at = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// sealed packs a head and a body that must not show up anywhere.
func sealed(t testing.TB, head string) []byte {
	t.Helper()
	s, err := seal.New(t.Context(), new(seal.Memory), master(t), seal.Options{Off: true}) // in the clear, so that a leak would show
	if err != nil {
		t.Fatal(err)
	}
	data, err := s.Seal(t.Context(), "owner", "aad", seal.Envelope{Head: json.RawMessage(head), Restricted: json.RawMessage(`{"salary":"98765"}`)})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func message(stream, subject, typ string, data []byte) bus.In {
	return bus.In{Stream: stream, Subject: subject, Seq: 7, At: at, Traceparent: trace, Data: data,
		Event: event.New("id1", "/muster/acme/x", typ, data)}
}

func TestRowOfEachMessage(t *testing.T) {
	for name, c := range map[string]struct {
		stream, subject, typ, head string
		want                       ledger.Record // beside what all have
	}{
		"a record": {topology.Raw, "hr.raw.bamboohr.key1", event.RecordReceivedV1,
			`{"source":"bamboohr","event":"employee.updated","version":{"scale":"time","value":"2026-01-01T00:00:00Z"},"partial":true}`,
			ledger.Record{Kind: ledger.KindOther, Source: "bamboohr", KeyToken: "key1", Event: "employee.updated"}},
		"a link": {topology.Raw, "hr.raw.bamboohr.key1", event.RecordLinkedV1, `{"source":"bamboohr","employee":"emp1","target":"bamboohr"}`,
			ledger.Record{Kind: ledger.KindOther, Source: "bamboohr", Target: "bamboohr", KeyToken: "key1", Employee: "emp1", Event: "id1"}},
		"a statement": {topology.People, "hr.said.bamboohr.key1", event.RecordStatedV1,
			`{"source":"bamboohr","employee":"emp1","status":"applied","event":"rec1","raw":3,"conflicts":[{"path":"pay.salary","rule":"authority","winner":"payroll"}],"config":"c1"}`,
			ledger.Record{Kind: ledger.KindRecord, Source: "bamboohr", KeyToken: "key1", Employee: "emp1", Event: "rec1", Outcome: "applied", Config: "c1",
				Conflicts: []ledger.Conflict{{Path: "pay.salary", Rule: "authority", Winner: "payroll"}}}},
		"a change": {topology.People, "hr.employee.emp1", event.EmployeeHiredV1,
			`{"id":"emp1","version":4,"status":"active","changed":["name.given"],"source":"bamboohr","event":"rec1","config":"c1"}`,
			ledger.Record{Kind: ledger.KindChange, Employee: "emp1", Version: 4, Outcome: "active", Fields: []string{"name.given"}, Source: "bamboohr", Event: "id1", Config: "c1"}},
		"a change that waits at a target": {topology.Parked, "hr.parked.okta.emp1", event.EmployeeHiredV1,
			`{"id":"emp1","version":4,"status":"active","changed":["name.given"]}`,
			ledger.Record{Kind: ledger.KindOther, Target: "okta", Employee: "emp1", Version: 4, Outcome: "active", Fields: []string{"name.given"}, Event: "id1"}},
		"an erasure": {topology.People, "hr.employee.emp1", "hr.employee.erased.v1", `{"id":"emp1","version":5}`,
			ledger.Record{Kind: ledger.KindErased, Employee: "emp1", Version: 5, Event: "id1"}},
		"a delivery": {topology.Delivered, "hr.delivered.okta.emp1", event.DeliveryCompletedV1,
			`{"target":"okta","integration":"iam","employee":"emp1","event":"ev1","type":"hr.employee.hired.v1","version":4,"attempt":2,"outcome":"failed","class":"record","reason":"schema","path":"$.a","rule":"r","fields":["name.given"],"purpose":"p","legal_basis":"l","processor":"okta inc","config":"c1","done":3}`,
			ledger.Record{Kind: ledger.KindDelivery, Target: "okta", Integration: "iam", Employee: "emp1", Event: "ev1", Change: "hr.employee.hired.v1",
				Version: 4, Attempt: 2, Outcome: "failed", Class: "record", Reason: "schema", Path: "$.a", Rule: "r", Fields: []string{"name.given"},
				Purpose: "p", LegalBasis: "l", Processor: "okta inc", Config: "c1"}},
		"a file": {topology.Delivered, topology.DeliveredFile("carrier", 187), event.DeliveryFiledV1,
			`{"target":"carrier","number":187,"previous":186,"outcome":"accepted","names":["F187"],"sha256":["ab"],"sizes":[2],"members":[{"employee":"emp1","event":"ev1","version":4}],"config":"c1"}`,
			ledger.Record{Kind: ledger.KindOther, Target: "carrier", Event: "id1", Outcome: "accepted", Config: "c1"}},
		"a dead record": {topology.Dead, "hr.dead.map.bamboohr.key1.ev1", event.RecordRejectedV1,
			`{"stage":"map","source":"bamboohr","event":"ev1","class":"record","reason":"schema","attempts":1,"config":"c1"}`,
			ledger.Record{Kind: ledger.KindOther, Stage: "map", Source: "bamboohr", KeyToken: "key1", Event: "ev1", Class: "record", Reason: "schema", Attempt: 1, Config: "c1"}},
		"a dead delivery": {topology.Dead, "hr.dead.deliver.iam.emp1.ev1", event.DeliveryRejectedV1, `{"stage":"deliver","target":"okta","event":"ev1","attempts":5}`,
			ledger.Record{Kind: ledger.KindOther, Stage: "deliver", Employee: "emp1", Target: "okta", Event: "ev1", Attempt: 5}},
		"a decision": {topology.Decisions, "hr.decide.transform.release", "hr.decision.made.v1", `{"actor":"ada","reason":"checked"}`,
			ledger.Record{Kind: ledger.KindDecision, Actor: "ada", Reason: "checked", Outcome: "release", Event: "id1"}},
		"a head with surprises": {topology.Delivered, "hr.delivered.okta.emp1", event.DeliveryCompletedV1,
			`{"target":["a"],"version":"x","attempt":"many","fields":7,"outcome":"applied","new":{"a":1}}`,
			ledger.Record{Kind: ledger.KindDelivery, Target: "okta", Employee: "emp1", Outcome: "applied", Event: "id1"}},
	} {
		t.Run(name, func(t *testing.T) {
			data := sealed(t, c.head)
			got := Row(message(c.stream, c.subject, c.typ, data))
			want := c.want
			want.Stream, want.Seq, want.At, want.ID, want.Type, want.Subject = c.stream, 7, at, "id1", c.typ, c.subject
			want.TraceID, want.BodyHash, want.Detail = "0af7651916cd43dd8448eb211c80319c", sha256.Sum256(data), []byte(c.head)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("row (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRowHoldsNothingOfTheBody(t *testing.T) {
	clear := []byte(`{"id":"emp1","version":3,"employee":{"name":{"given":"Zoltan"}}}`)
	for _, in := range []bus.In{
		message("TEAM_bi", "hr.team.bi.hired.emp1", event.EmployeeHiredV1, clear),
		message(topology.People, "hr.employee.emp1", event.EmployeeHiredV1, sealed(t, `{"id":"emp1"}`)),
		{Stream: "TEAM_bi", Subject: "hr.team.bi.hired.emp1", Seq: 1, At: at, Data: clear, Err: errors.New("Zoltan 98765 is no CloudEvent")},
	} {
		r := Row(in)
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if s := string(b) + string(r.Detail); strings.Contains(s, "Zoltan") || strings.Contains(s, "98765") {
			t.Errorf("the row holds a value: %s", s)
		}
	}
	r := Row(message("TEAM_bi", "hr.team.bi.hired.emp1", event.EmployeeHiredV1, clear))
	if r.Target != "team-bi" || r.Employee != "emp1" || r.Kind != ledger.KindOther || r.Detail != nil {
		t.Errorf("row of a team's event: %+v", r)
	}
}

func FuzzRow(f *testing.F) {
	f.Add("hr.delivered.okta.emp1", event.DeliveryCompletedV1, trace, sealed(f, `{"fields":["a"],"version":1}`))
	f.Add("hr", "x", "00--", []byte{1, 2, '{', '}'})
	f.Fuzz(func(t *testing.T, subject, typ, tp string, data []byte) {
		in := message(topology.Delivered, subject, typ, data)
		in.Traceparent = tp
		r := Row(in)
		if len(r.TraceID) != 0 && len(r.TraceID) != 32 {
			t.Errorf("trace id %q", r.TraceID)
		}
		if r.Seq != 7 || r.BodyHash != sha256.Sum256(data) {
			t.Error("the row is not about its message")
		}
	})
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		filter, subject string
		want            bool
	}{
		{">", "a", true}, {"a.>", "a.b.c", true}, {"a.>", "a", false}, {"a.*", "a.b", true}, {"a.*", "a.b.c", false},
		{"a.*.c", "a.b.c", true}, {"a.b", "a.b", true}, {"a.b", "a.bc", false}, {"a.b.c", "a.b", false}, {"hr.employee.>", "hr.said.x.y", false},
	} {
		if got := matches(c.filter, c.subject); got != c.want {
			t.Errorf("matches(%q, %q) = %t", c.filter, c.subject, got)
		}
	}
}
