package bus

import (
	"slices"
	"strings"

	"github.com/muster-hr/muster/libs/topology"
)

// Users of the bus, besides one per target (`delivery-okta`) and one per team
// (`team-bi`).
const (
	UserIngress   = "ingress"
	UserPoller    = "poller"
	UserTransform = "transform"
	UserAudit     = "audit"
	UserConsole   = "console"
	UserAdmin     = "admin"
)

// Grant is a right that not every service of a kind has.
type Grant string

// Restricted lets a delivery read the keys of restricted data (pay, bank,
// national ids). It needs it only if its allow-list does.
const Restricted Grant = "restricted"

// Trims lets the audit read and trim the stream of a team.
func Trims(team string) Grant { return Grant("trims " + topology.TeamStream(team)) }

// Serves lets a delivery write the stream of a team.
func Serves(team string) Grant { return Grant("serves " + team) }

// Links lets a delivery tell the source that is the same vendor account what it
// wrote there.
func Links(source string) Grant { return Grant("links " + source) }

// InboxPrefix is where answers to a user come in. Nobody else may listen there.
func InboxPrefix(user string) string { return "_INBOX_" + user }

// Rights are the subjects a user may publish on and subscribe to: what the
// service needs and no more. Nil lists, for the admin, mean everything. An
// unknown user has no rights.
//
// Reading is by direct get: with `<stream>.<subject>` the last message of
// subjects under a prefix, with `<stream>` alone any message of the stream. No
// service may make consumers; those of the plan are enough.
func Rights(user string, grants ...Grant) (publish, subscribe []string) {
	r := rights{}
	switch {
	case user == UserAdmin:
		return nil, nil
	case user == UserIngress:
		r.publish("hr.hint.>", "hr.raw.>", "hr.dead."+topology.StageMap+".>", "hr.audit.ingress.>")
		r.last(topology.Decisions, "hr.decide.ingress.>")
		r.seals(true)
	case user == UserPoller:
		r.publish("hr.raw.>", "hr.hint.>", "hr.dead."+topology.StageMap+".>", "hr.audit.poller.>")
		r.consume(topology.Hints, "*")
		r.last(topology.Hints, "hr.hint.>")
		r.last(topology.Raw, "hr.raw.*."+topology.ReadFrames)
		r.last(topology.Decisions, "hr.decide.poller.>")
		r.seals(true)
	case user == UserTransform:
		r.publish("hr.said.>", "hr.match.>", "hr.employee.>", "hr.leaver.>", "hr.survey.>",
			"hr.dead."+topology.StageMap+".>", "hr.audit.transform.>")
		r.consume(topology.Raw, topology.TransformRaw)
		r.consume(topology.Decisions, topology.TransformRaw)
		r.read(topology.Raw, topology.People, topology.Surveys, topology.Dead, topology.Decisions)
		r.seals(true)
	case strings.HasPrefix(user, "delivery-"):
		r.delivery(strings.TrimPrefix(user, "delivery-"), grants)
	case user == UserAudit:
		r.publish("hr.audit.audit.>")
		r.consume("*", topology.AuditAll)
		streams := slices.Clone(audited)
		for _, g := range grants {
			if s, ok := strings.CutPrefix(string(g), "trims "); ok {
				streams = append(streams, s)
			}
		}
		for _, s := range streams {
			r.read(s)
			r.api("STREAM.PURGE." + s)
		}
		r.api("CONSUMER.INFO.*.*", "CONSUMER.NAMES.*", "CONSUMER.LIST.*", "STREAM.NAMES", "STREAM.INFO.*")
		r.api("STREAM.MSG.DELETE." + topology.Keys) // erasing ends here, when all deliveries have confirmed
		r.read(topology.Keys)
		r.seals(true)
	case user == UserConsole:
		r.publish("hr.decide.>", "hr.audit.console.>", topology.ConfigCurrent)
		r.read(append([]string{topology.Config, topology.Hints}, audited...)...)
		r.api("CONSUMER.INFO.*.*", "CONSUMER.NAMES.*", "CONSUMER.LIST.*", "STREAM.NAMES", "STREAM.INFO.*")
		r.seals(true)
	case strings.HasPrefix(user, "team-"):
		team := strings.TrimPrefix(user, "team-")
		stream := topology.TeamStream(team)
		r.api("CONSUMER.INFO."+stream+"."+team, "CONSUMER.MSG.NEXT."+stream+"."+team)
		r.publish("$JS.ACK." + stream + "." + team + ".>")
	default:
		return []string{}, []string{}
	}
	return r.pub, []string{InboxPrefix(user) + ".>"}
}

// audited are the streams that the audit follows and trims.
var audited = []string{
	topology.Raw, topology.People, topology.Delivered, topology.Parked,
	topology.Dead, topology.Decisions, topology.Audit, topology.Surveys,
}

type rights struct{ pub []string }

func (r *rights) delivery(target string, grants []Grant) {
	user := topology.DeliveryPeople(target)
	r.publish(
		"hr.delivered."+target+".>",
		"hr.parked."+target+".>", "hr.wake."+target+".>", "hr.due."+target+".>", "hr.waits."+target+".>", "hr.moved."+target+".>",
		"hr.dead."+topology.StageDeliver+".>",
		"hr.audit.delivery.>", "hr.audit."+user+".>",
	)
	for _, g := range grants {
		if team, ok := strings.CutPrefix(string(g), "serves "); ok {
			r.publish("hr.team." + team + ".>")
			r.last(topology.TeamStream(team), "hr.team."+team+".>")
		}
		if source, ok := strings.CutPrefix(string(g), "links "); ok {
			r.publish("hr.raw." + source + ".>")
		}
	}
	r.consume(topology.People, topology.DeliveryPeople(target))
	r.consume(topology.People, topology.DeliveryLeavers(target))
	r.consume(topology.Parked, topology.DeliveryDue(target))
	r.consume(topology.Hints, topology.DeliveryHints(target))
	r.consume(topology.Decisions, topology.DeliveryPeople(target))
	r.last(topology.People, "hr.employee.>", "hr.leaver.>")
	r.last(topology.Decisions, "hr.decide."+user+".>")
	// Read in order or by sequence, which no subject can narrow; what others'
	// messages hold is sealed.
	r.read(topology.Delivered, topology.Parked, topology.Dead)
	r.api("STREAM.PURGE."+topology.Parked, "STREAM.PURGE."+topology.Dead)
	r.seals(slices.Contains(grants, Restricted))
}

func (r *rights) publish(subjects ...string) { r.pub = append(r.pub, subjects...) }

func (r *rights) api(calls ...string) {
	for _, c := range calls {
		r.publish("$JS.API." + c)
	}
}

// consume: follow a durable consumer as a [Feed] does.
func (r *rights) consume(stream, durable string) {
	on := stream + "." + durable
	r.api("CONSUMER.INFO."+on, "CONSUMER.MSG.NEXT."+on, "CONSUMER.RESET."+on, "CONSUMER.PAUSE."+on)
	r.publish("$JS.ACK." + on + ".>")
}

// read: any message of whole streams, and what subjects there are.
func (r *rights) read(streams ...string) {
	for _, s := range streams {
		r.api("DIRECT.GET."+s, "DIRECT.GET."+s+".>", "STREAM.INFO."+s)
	}
}

// last: the last message of subjects.
func (r *rights) last(stream string, subjects ...string) {
	for _, s := range subjects {
		r.api("DIRECT.GET." + stream + "." + s)
	}
}

// seals: read the configuration, and read and create data keys. A key is
// created with Expect 0; the server cannot demand that, the sealer does it.
func (r *rights) seals(restricted bool) {
	r.last(topology.Config, topology.ConfigCurrent)
	r.last(topology.Keys, "hr.key.basic.>", topology.KeyHMAC)
	r.publish("hr.key.basic.>", "hr.key.restricted.>")
	if restricted {
		r.last(topology.Keys, "hr.key.restricted.>")
	}
}
