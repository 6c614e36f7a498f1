package keep

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/ledger"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// head is what any clear head may say. A member that a head uses differently is
// left empty, the rest is taken: a newer service may know more than we do, and
// the head is kept whole beside.
type head struct {
	source, employee, target, event, typ, integration string
	outcome, status, class, reason, path, rule, stage string
	purpose, legalBasis, processor, config, actor     string
	version                                           int64 // 0 if it is the {scale, value} of a source
	fields, changed                                   []string
	attempt                                           int
	conflicts                                         []ledger.Conflict
}

// read goes through a head once. There are six for every record, so it does
// without a general decoder. The head must be valid JSON.
func read(raw []byte) (h head) {
	gjson.ParseBytes(raw).ForEach(func(name, v gjson.Result) bool {
		key := name.Str
		switch key {
		case "version":
			if v.Type != gjson.Number {
				break
			}
			if n, err := strconv.ParseInt(v.Raw, 10, 64); err == nil {
				h.version = n
			}
		case "attempt", "attempts":
			if v.Type == gjson.Number {
				h.attempt = max(h.attempt, int(v.Int()))
			}
		case "fields":
			h.fields = texts(v)
		case "changed":
			h.changed = texts(v)
		case "conflicts":
			h.conflicts = conflicts(v)
		default:
			if s := h.text(key); s != nil && v.Type == gjson.String {
				*s = v.Str
			}
		}
		return true
	})
	return h
}

// text is where a member that is text belongs, nil if nobody asks for it.
func (h *head) text(name string) *string {
	switch name {
	case "source":
		return &h.source
	case "employee":
		return &h.employee
	case "target":
		return &h.target
	case "event":
		return &h.event
	case "type":
		return &h.typ
	case "integration":
		return &h.integration
	case "outcome":
		return &h.outcome
	case "status":
		return &h.status
	case "class":
		return &h.class
	case "reason":
		return &h.reason
	case "path":
		return &h.path
	case "rule":
		return &h.rule
	case "stage":
		return &h.stage
	case "purpose":
		return &h.purpose
	case "legal_basis":
		return &h.legalBasis
	case "processor":
		return &h.processor
	case "config":
		return &h.config
	case "actor":
		return &h.actor
	}
	return nil
}

func texts(v gjson.Result) (out []string) {
	if v.IsArray() {
		v.ForEach(func(_, e gjson.Result) bool {
			if e.Type == gjson.String {
				if out == nil {
					out = make([]string, 0, 1+strings.Count(v.Raw, ","))
				}
				out = append(out, e.Str)
			}
			return true
		})
	}
	return out
}

// conflicts takes what fits.
func conflicts(v gjson.Result) (out []ledger.Conflict) {
	_ = json.Unmarshal([]byte(v.Raw), &out)
	return out
}

// Row is the record of a message. It never fails: a message that cannot be
// read is evidence too, and one that could stop the audit would stop it for all.
// Its Detail is a part of the message's data, not a copy.
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
	if err == nil && bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) && gjson.ValidBytes(raw) {
		h = read(raw)
		r.Detail = raw
	} // else in the clear, for a team: its values are none of ours
	fill(&r, &h)
	return r
}

func fill(r *ledger.Record, h *head) {
	set(&r.Source, h.source)
	set(&r.Employee, h.employee)
	set(&r.Target, h.target)
	set(&r.Event, h.event)
	r.Integration, r.Fields, r.Outcome, r.Class, r.Reason = h.integration, h.fields, h.outcome, h.class, h.reason
	r.Path, r.Rule, r.Attempt, r.Stage = h.path, h.rule, h.attempt, h.stage
	r.Purpose, r.LegalBasis, r.Processor = h.purpose, h.legalBasis, h.processor
	r.Config, r.Actor, r.Version = h.config, h.actor, h.version

	switch {
	case strings.HasPrefix(r.Type, "hr.employee."):
		r.Kind = ledger.KindChange
		if event.Verb(r.Type) == "erased" {
			r.Kind = ledger.KindErased
		}
		if r.Stream != topology.People { // the copy for a team, or one that waits in PARKED
			r.Kind = ledger.KindOther
		}
		r.Event = r.ID // what deliveries are about; the record that caused it stays in the head
		r.Fields, r.Outcome = h.changed, h.status
	case r.Type == event.RecordStatedV1:
		r.Kind, r.Outcome, r.Conflicts = ledger.KindRecord, h.status, h.conflicts
	case r.Type == event.SurveyResponseReceivedV1:
		r.Kind, r.Outcome = ledger.KindRecord, h.status
	case r.Type == event.DeliveryIntendedV1 || r.Type == event.DeliveryCompletedV1:
		r.Kind, r.Change = ledger.KindDelivery, h.typ
		if r.Outcome == "held" {
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
	case "delivered", "parked", "wake", "due", "waits", "moved":
		r.Target, r.Employee = third, last
		if fourth == topology.Files {
			r.Employee = "" // a file is nobody's; its head names who was in it
		}
	case "team":
		r.Target, r.Employee = "team-"+third, last
	case "survey":
		r.KeyToken = last
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
	_, rest, _ := strings.Cut(traceparent, "-")
	id, rest, _ := strings.Cut(rest, "-")
	if !strings.Contains(rest, "-") || len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" || strings.Trim(id, "0") == "" {
		return ""
	}
	return id
}
