package bus_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/testkit"
	"github.com/muster-hr/muster/libs/topology"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
)

// guarded starts a broker with all users of the small company and makes its
// streams. It gives the seed of each user.
func guarded(t *testing.T) (*bus.Server, map[string]string) {
	t.Helper()
	seeds := make(map[string]string)
	var users []bus.User
	for _, name := range []string{
		bus.UserAdmin, bus.UserIngress, bus.UserPoller, bus.UserTransform, bus.UserAudit, bus.UserConsole,
		"delivery-okta", "delivery-personio", "delivery-team-bi", "team-bi", "nobody",
	} {
		seed, public, err := bus.NewUser(name)
		if err != nil {
			t.Fatal(err)
		}
		var grants []bus.Grant
		if name == "delivery-personio" {
			grants = append(grants, bus.Restricted, bus.Links("hris")) // the source has another name than the target
		}
		if name == "delivery-team-bi" {
			grants = append(grants, bus.Serves("bi"))
		}
		u := bus.User{Name: name, PublicKey: public}
		u.Publish, u.Subscribe = bus.Rights(name, grants...)
		seeds[name], users = seed, append(users, u)
	}
	srv := testkit.JetStream(t, users...)
	if err := bus.Ensure(deadline(t), as(t, srv, seeds, bus.UserAdmin), bus.PlanFor(testkit.SmallCompany())); err != nil {
		t.Fatal(err)
	}
	return srv, seeds
}

func as(t *testing.T, srv *bus.Server, seeds map[string]string, name string) *bus.Bus {
	t.Helper()
	return testkit.Connect(t, srv, bus.Options{Name: name, NKeySeed: seeds[name], Timeout: 2 * time.Second, Log: quiet})
}

func TestServicesMayDoTheirWork(t *testing.T) {
	srv, seeds := guarded(t)
	ctx := deadline(t)
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	pub := func(user, stream string, ms ...bus.Out) *bus.Bus {
		t.Helper()
		b := as(t, srv, seeds, user)
		for _, m := range ms {
			_, err := b.Publish(ctx, stream, m)
			must(user+" on "+m.Subject, err)
		}
		return b
	}
	consume := func(user, stream, durable string) {
		t.Helper()
		b := as(t, srv, seeds, user)
		f, err := b.Feed(ctx, bus.FeedOptions{Stream: stream, Durable: durable})
		if err != nil {
			t.Errorf("%s follows %s: %v", user, durable, err)
			return
		}
		defer f.Close()
		in, err := f.Next(ctx)
		must(user+" reads "+durable, err)
		must(user+" acknowledges", f.Ack(in))
		must(user+" pauses", f.Pause(ctx, time.Now().Add(time.Second)))
	}

	ingress := pub("ingress", topology.Raw, out("hr.raw.bamboohr.k", "1"))
	_, err := ingress.Publish(ctx, topology.Hints, out("hr.hint.bamboohr.k", "1"))
	must("hint", err)
	_, err = ingress.Publish(ctx, topology.Hints, out("hr.hint.okta.k", "1"))
	must("hint", err)
	_, err = ingress.Publish(ctx, topology.Keys, expecting(out(topology.Key("restricted", "k"), "1"), 0))
	must("key", err)
	_, err = ingress.Last(ctx, topology.Keys, topology.Key("restricted", "k"))
	must("read key", err)
	consume("poller", topology.Hints, topology.PollerHints("bamboohr"))
	consume("transform", topology.Raw, topology.TransformRaw)
	transform := pub("transform", topology.People, out("hr.employee.a", "1"), out("hr.leaver.a", "1"), out("hr.said.bamboohr.k", "1"))
	last, err := transform.PublishAtomic(ctx, topology.People, []bus.Out{out("hr.employee.b", "1"), out("hr.match.email.x", "1")})
	must("batch", err)
	n := 0
	must("each", transform.Each(ctx, topology.People, "hr.>", func(bus.In) error { n++; return nil }))
	must("each last", transform.EachLast(ctx, topology.People, "hr.>", func(bus.In) error { n++; return nil }))
	_, err = transform.Publish(ctx, topology.Surveys, out("hr.survey.f.r", "1"))
	must("responses", err)
	must("each response", transform.EachLast(ctx, topology.Surveys, "hr.survey.>", func(bus.In) error { return nil }))
	_, err = transform.Last(ctx, topology.Raw, "hr.raw.bamboohr.k")
	must("a response as received", err)
	if n != 10 || last != 5 {
		t.Errorf("read %d, last %d", n, last)
	}
	consume("delivery-okta", topology.People, topology.DeliveryPeople("okta"))
	consume("delivery-okta", topology.People, topology.DeliveryLeavers("okta"))
	consume("delivery-okta", topology.Hints, topology.DeliveryHints("okta"))
	okta := pub("delivery-okta", topology.Delivered, out("hr.delivered.okta.a", "1"))
	_, err = okta.Last(ctx, topology.People, "hr.employee.a")
	must("read employee", err)
	_, err = okta.Publish(ctx, topology.Parked, out("hr.parked.okta.a", "1"))
	must("park", err)
	for _, subject := range []string{topology.DueAt("okta", "a"), topology.WaitsAt("okta", "a"), topology.MovedAt("okta", "a")} {
		_, err = okta.Publish(ctx, topology.Parked, out(subject, "1"))
		must(subject, err)
	}
	must("unpark", okta.Purge(ctx, topology.Parked, "hr.parked.okta.a", 2))
	pub("ingress", topology.Dead, out("hr.dead.map.bamboohr.k.1", "1"))
	pub("poller", topology.Dead, out("hr.dead.map.bamboohr.k.2", "1"))
	poller := pub("poller", topology.Hints, out(topology.Hint("bamboohr", "k"), "1"), out(topology.Listed("bamboohr", "k"), "1"))
	_, err = poller.Last(ctx, topology.Hints, topology.Hint("bamboohr", "*"))
	must("last hint", err)
	pub("delivery-personio", topology.Raw, out("hr.raw.hris.k", "1"))
	pub("delivery-team-bi", topology.TeamStream("bi"), out(topology.TeamEvent("bi", "hired", "a"), "1"))
	console := pub("console", topology.Decisions, out("hr.decide.transform.release", "1"), out("hr.decide.delivery-okta.retry", "1"))
	_, err = console.Publish(ctx, topology.Config, out(topology.ConfigCurrent, "1"))
	must("config", err)
	consume("transform", topology.Decisions, topology.TransformRaw)
	consume("delivery-okta", topology.Decisions, topology.DeliveryPeople("okta"))
	audit := as(t, srv, seeds, "audit")
	consume("audit", topology.People, topology.AuditAll)
	consume("audit", topology.TeamStream("bi"), topology.AuditAll)
	_, err = audit.ConsumerState(ctx, topology.People, topology.DeliveryPeople("okta"))
	must("lag", err)
	must("trim", audit.Purge(ctx, topology.People, "hr.employee.a", 1))
	in, err := audit.Last(ctx, topology.Keys, topology.Key("restricted", "k"))
	must("read key", err)
	must("erase", audit.SecureDelete(ctx, topology.Keys, in.Seq))
	_, err = okta.Last(ctx, topology.Config, topology.ConfigCurrent)
	must("read config", err)
}

// raw is a connection of a user without the manners of this package. It notes
// what it was refused.
func raw(t *testing.T, srv *bus.Server, seed, prefix string) (*nats.Conn, chan error) {
	t.Helper()
	pair, err := nkeys.FromSeed([]byte(seed))
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	refused := make(chan error, 100)
	nc, err := nats.Connect("", nats.InProcessServer(srv), nats.Nkey(public, pair.Sign), nats.CustomInboxPrefix(prefix),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc, refused
}

func TestTeamSeesItsConsumerOnly(t *testing.T) {
	srv, seeds := guarded(t)
	admin := as(t, srv, seeds, bus.UserAdmin)
	ctx := deadline(t)
	if _, err := admin.Publish(ctx, "TEAM_bi", out("hr.team.bi.hired.a", "1")); err != nil {
		t.Fatal(err)
	}
	nc, refused := raw(t, srv, seeds["team-bi"], "_INBOX_team-bi")

	// What it may do, with an ordinary client.
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	c, err := js.Consumer(ctx, "TEAM_bi", "bi")
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Next(jetstream.FetchMaxWait(5 * time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if m.Headers().Get("ce-id") != "1" {
		t.Errorf("got %v", m.Headers())
	}
	if err := m.DoubleAck(ctx); err != nil {
		t.Error(err)
	}
	select {
	case err := <-refused:
		t.Fatalf("refused: %v", err)
	default:
	}

	expect := func(what string) {
		t.Helper()
		select {
		case err := <-refused:
			if !errors.Is(err, nats.ErrPermissionViolation) && !strings.Contains(strings.ToLower(err.Error()), "permissions violation") {
				t.Errorf("%s: %v", what, err)
			}
		case <-ctx.Done():
			t.Fatalf("%s: not refused", what)
		}
	}
	for _, subject := range []string{
		"hr.team.bi.hired.b", "hr.decide.transform.erase", "hr.key.basic.a", "hr.config.current",
		"$JS.API.CONSUMER.MSG.NEXT.TEAM_bi.audit", "$JS.API.CONSUMER.MSG.NEXT.PEOPLE.delivery-okta",
		"$JS.API.CONSUMER.INFO.TEAM_bi.audit", "$JS.API.CONSUMER.INFO.PEOPLE.delivery-okta",
		"$JS.API.CONSUMER.CREATE.TEAM_bi", "$JS.API.CONSUMER.CREATE.TEAM_bi.mine.hr.team.bi.>", "$JS.API.CONSUMER.DURABLE.CREATE.TEAM_bi.bi",
		"$JS.API.CONSUMER.DELETE.TEAM_bi.bi", "$JS.API.CONSUMER.RESET.TEAM_bi.bi", "$JS.API.CONSUMER.PAUSE.TEAM_bi.bi",
		"$JS.API.DIRECT.GET.TEAM_bi", "$JS.API.DIRECT.GET.TEAM_bi.hr.team.bi.hired.a", "$JS.API.DIRECT.GET.KEYS.hr.key.basic.a",
		"$JS.API.STREAM.INFO.TEAM_bi", "$JS.API.STREAM.MSG.GET.TEAM_bi", "$JS.API.STREAM.PURGE.TEAM_bi", "$JS.API.STREAM.NAMES",
		"$JS.API.INFO", "$JS.ACK.TEAM_bi.audit.1.1.1.1.1", "$JS.ACK.PEOPLE.delivery-okta.1.1.1.1.1", "_INBOX_transform.x",
	} {
		if err := nc.Publish(subject, nil); err != nil {
			t.Fatal(err)
		}
		expect("publish " + subject)
	}
	for _, subject := range []string{">", "hr.>", "hr.team.bi.>", "hr.employee.>", "_INBOX.>", "_INBOX_transform.>", "_INBOX_*.>", "$JS.>", "$JS.EVENT.>"} {
		if _, err := nc.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		expect("subscribe " + subject)
	}
}

func TestServicesAreRefusedTheRest(t *testing.T) {
	srv, seeds := guarded(t)
	for user, subjects := range map[string][]string{
		"ingress":       {"hr.employee.a", "hr.survey.f.r", "hr.decide.transform.erase", "$JS.API.DIRECT.GET.RAW", "$JS.API.STREAM.PURGE.RAW", "hr.key.hmac.current"},
		"transform":     {"hr.delivered.okta.a", "hr.raw.bamboohr.k", "$JS.API.CONSUMER.MSG.NEXT.PEOPLE.delivery-okta", "$JS.API.STREAM.DELETE.RAW"},
		"delivery-okta": {"hr.employee.a", "hr.delivered.personio.a", "hr.parked.personio.a", "hr.due.personio.a", "hr.waits.personio.a", "hr.moved.personio.a", "$JS.API.CONSUMER.MSG.NEXT.PEOPLE.delivery-personio", "$JS.API.DIRECT.GET.KEYS.hr.key.restricted.a", "$JS.API.DIRECT.GET.KEYS", "$JS.API.STREAM.PURGE.PEOPLE", "hr.raw.bamboohr.k"},
		"audit":         {"hr.employee.a", "hr.decide.transform.erase", "hr.config.current", "$JS.API.STREAM.PURGE.KEYS", "$JS.API.STREAM.DELETE.AUDIT"},
		"console":       {"hr.employee.a", "hr.raw.bamboohr.k", "$JS.API.STREAM.PURGE.PEOPLE", "$JS.API.CONSUMER.MSG.NEXT.RAW.transform", "hr.key.hmac.current"},
		"nobody":        {"hr.raw.bamboohr.k", "$JS.API.INFO", "x"},
	} {
		nc, refused := raw(t, srv, seeds[user], bus.InboxPrefix(user))
		for _, subject := range subjects {
			if err := nc.Publish(subject, nil); err != nil {
				t.Fatal(err)
			}
			select {
			case <-refused:
			case <-deadline(t).Done():
				t.Errorf("%s may publish %s", user, subject)
			}
		}
	}
	seed, _, err := bus.NewUser("stranger")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bus.Connect(deadline(t), bus.Options{URL: srv.ClientURL(), NKeySeed: seed, Log: quiet}); err == nil {
		t.Error("a stranger was let in")
	}
}

// Only a delivery whose allow-list needs it reads restricted keys.
func TestRestrictedKeys(t *testing.T) {
	const right = "$JS.API.DIRECT.GET.KEYS.hr.key.restricted.>"
	if p, _ := bus.Rights("delivery-okta"); slices.Contains(p, right) {
		t.Error("without the grant")
	}
	if p, _ := bus.Rights("delivery-okta", bus.Restricted); !slices.Contains(p, right) {
		t.Error("with the grant")
	}
	if p, s := bus.Rights("stranger"); p == nil || len(p)+len(s) > 0 {
		t.Error("an unknown user has rights")
	}
}
