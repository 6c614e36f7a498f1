package keep

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"strings"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/ledger"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// head is what any clear head may say. Fields that a head uses differently are
// left empty, the rest is taken: a newer service may know more than we do, and
// the head is kept whole beside.
type head struct {
	ID          string            `json:"id"`
	Source      string            `json:"source"`
	Employee    string            `json:"employee"`
	Target      string            `json:"target"`
	Integration string            `json:"integration"`
	Event       string            `json:"event"`
	Type        string            `json:"type"`
	Version     json.RawMessage   `json:"version"` // a number, or {scale, value} of a source
	Fields      []string          `json:"fields"`
	Changed     []string          `json:"changed"`
	Status      string            `json:"status"`
	Outcome     string            `json:"outcome"`
	Class       string            `json:"class"`
	Reason      string            `json:"reason"`
	Path        string            `json:"path"`
	Rule        string            `json:"rule"`
	Attempt     int               `json:"attempt"`
	Attempts    int               `json:"attempts"`
	Stage       string            `json:"stage"`
	Purpose     string            `json:"purpose"`
	LegalBasis  string            `json:"legal_basis"`
	Processor   string            `json:"processor"`
	Config      string            `json:"config"`
	Actor       string            `json:"actor"`
	Conflicts   []ledger.Conflict `json:"conflicts"`
}

// Row is the record of a message. It never fails: a message that cannot be
// read is evidence too, and one that could stop the audit would stop it for all.
func Row(in bus.In) ledger.Record {
	data := in.Data
	if in.Err == nil {
		data = in.Event.Data()
	}
	r := ledger.Record{
		Stream: in.Stream, Seq: in.Seq, At: in.At, Kind: ledger.KindOther, Subject: in.Subject,
		TraceID: traceID(in.Traceparent), BodyHash: sha256.Sum256(data),
	}
	if in.Err != nil {
		r.Outcome, r.Reason = "unreadable", "no_cloudevent"
		return r
	}
	r.ID, r.Event, r.Type = in.Event.ID(), in.Event.ID(), in.Event.Type()
	fromSubject(&r)
	var h head
	raw, err := seal.Head(data)
	if err == nil && len(bytes.TrimSpace(raw)) > 0 && bytes.TrimSpace(raw)[0] == '{' {
		_ = json.Unmarshal(raw, &h) // takes what fits
		r.Detail = bytes.Clone(raw)
	} // else in the clear, for a team: its values are none of ours
	fill(&r, h)
	return r
}

func fill(r *ledger.Record, h head) {
	set(&r.Source, h.Source)
	set(&r.Employee, h.Employee)
	set(&r.Target, h.Target)
	set(&r.Event, h.Event)
	r.Integration, r.Fields, r.Outcome, r.Class, r.Reason = h.Integration, h.Fields, h.Outcome, h.Class, h.Reason
	r.Path, r.Rule, r.Attempt, r.Stage = h.Path, h.Rule, max(h.Attempt, h.Attempts), h.Stage
	r.Purpose, r.LegalBasis, r.Processor, r.Config, r.Actor = h.Purpose, h.LegalBasis, h.Processor, h.Config, h.Actor
	_ = json.Unmarshal(h.Version, &r.Version) // a source's version stays in the head

	switch {
	case strings.HasPrefix(r.Type, "hr.employee."):
		r.Kind = ledger.KindChange
		if event.Verb(r.Type) == "erased" {
			r.Kind = ledger.KindErased
		}
		if strings.HasPrefix(r.Subject, "hr.team.") { // the copy for a team
			r.Kind = ledger.KindOther
		}
		r.Event = r.ID // what deliveries are about; the record that caused it stays in the head
		r.Fields, r.Outcome = h.Changed, h.Status
	case r.Type == event.RecordStatedV1:
		r.Kind, r.Outcome, r.Conflicts = ledger.KindRecord, h.Status, h.Conflicts
	case r.Type == event.DeliveryIntendedV1 || r.Type == event.DeliveryCompletedV1:
		r.Kind, r.Change = ledger.KindDelivery, h.Type
		if h.Outcome == "held" {
			r.Kind = ledger.KindHeld
		}
	case r.Stream == topology.Decisions:
		r.Kind = ledger.KindDecision
		set(&r.Outcome, topology.Token(r.Subject, 3))
	}
}

// set overwrites what the subject said with what the head says.
func set(s *string, v string) {
	if v != "" {
		*s = v
	}
}

// fromSubject reads the names in a subject, which is all there is if the head
// cannot be read.
func fromSubject(r *ledger.Record) {
	known := func(token string) string {
		if token == topology.Unknown {
			return ""
		}
		return token
	}
	third, fourth, last := topology.Token(r.Subject, 2), topology.Token(r.Subject, 3), topology.Last(r.Subject)
	switch topology.Token(r.Subject, 1) {
	case "raw", "said":
		r.Source, r.KeyToken = third, fourth
	case "employee", "leaver":
		r.Employee = last
	case "delivered", "parked", "wake", "due":
		r.Target, r.Employee = third, last
	case "team":
		r.Target, r.Employee = "team-"+third, last
	case "dead":
		r.Stage = third
		if third == topology.StageMap { // the owner is the key of a record that nobody is linked to
			r.KeyToken = known(topology.Token(r.Subject, 4))
		} else {
			r.Employee = known(topology.Token(r.Subject, 4))
		}
	}
}

// traceID is the second field of a W3C traceparent (Trace Context level 1,
// section 3.2.2), "" if it is not 32 lower-case hex digits or all zero.
func traceID(traceparent string) string {
	parts := strings.Split(traceparent, "-")
	if len(parts) < 4 || len(parts[1]) != 32 || strings.Trim(parts[1], "0123456789abcdef") != "" || strings.Trim(parts[1], "0") == "" {
		return ""
	}
	return parts[1]
}
