// Package topology names everything that flows between the services: streams,
// subjects and durable consumers, in the order a change meets them. It imports
// nothing, so it can be read without knowing NATS.
//
// The last tokens of a subject are pseudonymous: <key> is an HMAC token of a
// vendor's key, <id> our employee id. Nothing personal stands in a subject.
package topology

import (
	"strconv"
	"strings"
)

// Streams, in the order a change meets them.
const (
	Hints     = "HINTS"     // hr.hint.<account>.<key>, hr.hint.<account>.listed.<key>  ingress, poller → poller, delivery
	Raw       = "RAW"       // hr.raw.<source>.<key>                      ingress, poller, delivery → transform
	People    = "PEOPLE"    // hr.said.… hr.match.… hr.employee.… hr.leaver.…  transform → delivery, audit
	Delivered = "DELIVERED" // hr.delivered.<target>.<id>                 delivery → delivery, audit
	Parked    = "PARKED"    // hr.parked.… hr.wake.… hr.due.… hr.waits.… hr.moved.…  delivery → delivery
	Dead      = "DEAD"      // hr.dead.<stage>.<integration>.<id>.<event> transform, delivery → audit
	Decisions = "DECISIONS" // hr.decide.<receiver>.<verb>                console → transform, delivery
	Audit     = "AUDIT"     // hr.audit.<service>.<action>                all → audit
	Keys      = "KEYS"      // hr.key.<basic|restricted>.<owner>          wrapped data keys, secure delete
	Config    = "CONFIG"    // hr.config.current                          the running config version
	Surveys   = "SURVEYS"   // hr.survey.<survey>.<response>              transform → audit
)

// Stages of a dead letter.
const (
	StageMap     = "map"
	StageDeliver = "deliver"
)

// Unknown stands in a subject for a token that is not known.
const Unknown = "-"

// ReadFrames is the last token of the subject that frames full reads of a source.
const ReadFrames = "_read"

// Hint is the subject of "look at this key".
func Hint(account, key string) string { return "hr.hint." + account + "." + key }

// Listed is the subject of a hint that a read of changes gave. It stands beside
// the one of a webhook, since the cursor is past it: no later read of changes
// stands for it.
func Listed(account, key string) string { return Hint(account, "listed."+key) }

// RawRecord is the subject of a record as received.
func RawRecord(source, key string) string { return "hr.raw." + source + "." + key }

// RawReads is the subject of the begin and end records of a source's full reads.
func RawReads(source string) string { return "hr.raw." + source + "." + ReadFrames }

// Said is the subject of the statement of one source about one key.
func Said(source, key string) string { return "hr.said." + source + "." + key }

// Match is the subject that reserves a match key; kind is email, number or national_id.
func Match(kind, hmac string) string { return "hr.match." + kind + "." + hmac }

// Employee is the subject of an employee's log.
func Employee(id string) string { return "hr.employee." + id }

// Leaver is the subject of the pointer that lets a leaver overtake a backlog.
func Leaver(id string) string { return "hr.leaver." + id }

// DeliveredTo is the subject of intents and outcomes of one target and employee.
func DeliveredTo(target, id string) string { return "hr.delivered." + target + "." + id }

// Files stands where an employee's id does in the subjects of a target's files.
const Files = "_file"

// DeliveredFile is the subject of what became of one numbered file of a target.
// It has a token more than those of employees: "hr.delivered.T.*" are they.
func DeliveredFile(target string, number int64) string {
	return DeliveredTo(target, Files) + "." + strconv.FormatInt(number, 10)
}

// DeliveredFiles matches the subjects of all files of a target.
func DeliveredFiles(target string) string { return DeliveredTo(target, Files) + ".*" }

// ParkedAt is the subject of what waits at a target for one employee; the
// wake-up is scheduled on WakeAt and fires on DueAt.
func ParkedAt(target, id string) string { return "hr.parked." + target + "." + id }

// WakeAt is the subject of the scheduled wake-up.
func WakeAt(target, id string) string { return "hr.wake." + target + "." + id }

// DueAt is the subject on which a wake-up fires.
func DueAt(target, id string) string { return "hr.due." + target + "." + id }

// WaitsAt is the subject of the note that an employee was delivered without
// others, whom the target did not know.
func WaitsAt(target, id string) string { return "hr.waits." + target + "." + id }

// MovedAt is the subject of the note that an employee is named otherwise at the
// target from now on, until those who name him are told.
func MovedAt(target, id string) string { return "hr.moved." + target + "." + id }

// DeadLetter is the subject of a dead letter. Empty tokens become "-".
func DeadLetter(stage, integration, id, event string) string {
	return "hr.dead." + stage + "." + known(integration) + "." + known(id) + "." + known(event)
}

// Decide is the subject of a decision.
func Decide(receiver, verb string) string { return "hr.decide." + receiver + "." + verb }

// AuditOf is the subject of an audit record that is in no other stream.
func AuditOf(service, action string) string { return "hr.audit." + service + "." + action }

// Key is the subject of a wrapped data key; part is basic or restricted, owner
// an employee id or a key token.
func Key(part, owner string) string { return "hr.key." + part + "." + owner }

// KeyHMAC is the subject of the wrapped secret behind all tokens and digests.
const KeyHMAC = "hr.key.hmac.current"

// ConfigCurrent is the subject of the running config version.
const ConfigCurrent = "hr.config.current"

// Survey is the subject of a response to a survey: the vendor's id of the survey
// as far as it can stand there, the token of that of the response.
func Survey(survey, response string) string {
	if !ValidToken(survey) {
		survey = Unknown
	}
	return "hr.survey." + survey + "." + response
}

// TeamStream is the stream of a downstream team.
func TeamStream(team string) string { return "TEAM_" + team }

// TeamEvent is the subject of one event for a team; verb is the last word of the event type.
func TeamEvent(team, verb, id string) string { return "hr.team." + team + "." + verb + "." + id }

// Durable consumers: the service, then what it does there.
const (
	TransformRaw = "transform"
	AuditAll     = "audit"
)

// PollerHints is the durable with which the poller follows hints of one account.
func PollerHints(account string) string { return "poller-" + account }

// DeliveryPeople is the durable with which one target follows the employees.
func DeliveryPeople(target string) string { return "delivery-" + target }

// DeliveryLeavers is the durable with which one target sees leavers first.
func DeliveryLeavers(target string) string { return "delivery-" + target + "-leavers" }

// DeliveryDue is the durable with which one target hears its wake-ups.
func DeliveryDue(target string) string { return "delivery-" + target + "-due" }

// DeliveryHints is the durable with which a target that is no source follows
// the hints of its account.
func DeliveryHints(target string) string { return "delivery-" + target + "-hints" }

// Last is the last token of a subject: the key or the employee id.
func Last(subject string) string { return subject[strings.LastIndexByte(subject, '.')+1:] }

// Token is the n-th token of a subject, from 0; empty if there are fewer.
func Token(subject string, n int) string {
	for ; n > 0; n-- {
		i := strings.IndexByte(subject, '.')
		if i < 0 {
			return ""
		}
		subject = subject[i+1:]
	}
	if i := strings.IndexByte(subject, '.'); i >= 0 {
		return subject[:i]
	}
	return subject
}

// ValidToken tells whether a name can stand as one token of a subject.
func ValidToken(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_') {
			return false
		}
	}
	return true
}

func known(token string) string {
	if token == "" {
		return Unknown
	}
	return token
}
