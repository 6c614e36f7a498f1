// Package event is the envelope of every message on the bus: a CloudEvent 1.0
// in NATS binary mode (CloudEvents NATS protocol binding, sections 2 and 3.1).
//
// The attributes travel as headers `ce-<name>`, percent-encoded as the binding
// demands; the payload is the body as it is. Internal streams carry the four
// required attributes and no more, because every header costs throughput:
// the time is the stream's, the schema follows from the type, the partition
// key stands in the subject. Versions and sequences are in the data.
package event

import (
	ce "github.com/cloudevents/sdk-go/v2/event"
)

// Event is a CloudEvent.
type Event = ce.Event

// Types of events. `hr.<entity>.<past tense>.v<n>`.
const (
	EmployeePreboardedV1   = "hr.employee.preboarded.v1"
	EmployeeHiredV1        = "hr.employee.hired.v1"
	EmployeeUpdatedV1      = "hr.employee.updated.v1"
	EmployeeRehiredV1      = "hr.employee.rehired.v1"
	EmployeeTerminatedV1   = "hr.employee.terminated.v1"
	EmployeeLeaveStartedV1 = "hr.employee.leave_started.v1"
	EmployeeLeaveEndedV1   = "hr.employee.leave_ended.v1"
	EmployeeWithdrawnV1    = "hr.employee.withdrawn.v1"

	RecordReceivedV1 = "hr.record.received.v1"
	RecordLinkedV1   = "hr.record.linked.v1"
	RecordStatedV1   = "hr.record.stated.v1"
	RecordRejectedV1 = "hr.record.rejected.v1"
	RecordHintedV1   = "hr.record.hinted.v1"
	ReadBegunV1      = "hr.read.begun.v1" // a full read begins
	ReadPagedV1      = "hr.read.paged.v1" // a page is durable, more may follow
	ReadEndedV1      = "hr.read.ended.v1" // a full read has ended, and how

	SurveyResponseReceivedV1 = "hr.survey.response_received.v1"

	MatchReservedV1 = "hr.match.reserved.v1"
	LeaverNotedV1   = "hr.leaver.noted.v1"

	DeliveryIntendedV1  = "hr.delivery.intended.v1"
	DeliveryCompletedV1 = "hr.delivery.completed.v1"
	DeliveryParkedV1    = "hr.delivery.parked.v1"
	DeliveryWakeV1      = "hr.delivery.wake.v1"
	DeliveryAwaitsV1    = "hr.delivery.awaits.v1" // somebody was left out, or is named otherwise from now on
	DeliveryRejectedV1  = "hr.delivery.rejected.v1"
	DeliveryFiledV1     = "hr.delivery.filed.v1" // what became of a file

	KeyWrappedV1    = "hr.key.wrapped.v1"
	ConfigAppliedV1 = "hr.config.applied.v1"
	RequestsRefused = "hr.ingress.refused.v1"
)

// New makes an event with the required attributes and its payload. Source is a
// URI reference, `/muster/<company>/<service or account>`.
func New(id, source, typ string, data []byte) Event {
	e := ce.New(ce.CloudEventsVersionV1)
	e.SetID(id)
	setSource(&e, source)
	e.SetType(typ)
	e.DataEncoded = data
	return e
}

// Verb is the last word of a type before its version: `hired` of
// `hr.employee.hired.v1`.
func Verb(typ string) string {
	end := len(typ)
	for i := len(typ) - 1; i >= 0; i-- {
		if typ[i] == '.' {
			if end == len(typ) {
				end = i
				continue
			}
			return typ[i+1 : end]
		}
	}
	return typ[:end]
}
