package people

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/testkit"
	"github.com/muster-hr/muster/libs/topology"
)

const id = "aaaabbbbccccddddeeeeffff22"

var at = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

// company is a broker on which one person was hired by bamboohr as 117 and
// delivered to okta.
type company struct {
	t    *testing.T
	bus  *bus.Bus
	keys *seal.Memory
	dir  *Directory
}

func hired(t *testing.T) *company {
	t.Helper()
	c := &company{t: t, bus: testkit.Bus(t, testkit.JetStream(t), testkit.SmallCompany()), keys: &seal.Memory{}}
	master, err := seal.ParseMaster(seal.NewMaster())
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.New(t.Context(), c.keys, master, seal.Options{Cache: 1})
	if err != nil {
		t.Fatal(err)
	}
	c.dir = &Directory{Log: c.bus, Sealer: sealer, Company: "acme", Targets: []Account{{Name: "okta"}, {Name: "personio", Source: "personio"}, {Name: "team-bi"}}}

	codec := c.dir.codec()
	token := codec.Token("bamboohr", "117")
	said, err := codec.State(t.Context(), token, record.Statement{
		Source: "bamboohr", Employee: id, Status: record.StatusApplied, Event: "ev1", AcceptedAt: at,
		Version: connector.Version{Scale: connector.ScaleSequence, Value: "9"}, Key: "117", Whole: json.RawMessage(`{"salary":"71234"}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	c.publish(topology.People, said.Subject, said.Event)

	state := employee.State{
		Head: employee.Head{ID: id, Version: 3, Status: "active", Contains: map[string]uint64{"bamboohr." + token: 4}, AcceptedAt: at},
		Fields: employee.Flat{
			"name.given": "Plantedname", "work_email": "plantedname@acme.example", "employee_number": "00117", "birth_date": "1987-03-05",
			"employment.status": "active", "positions[primary].title": "Plantedtitle", "external.greenhouse": []any{"55", "application:56"},
			"compensation":         map[string]any{"amount": "71234.00", "currency": "USD"},
			"national_ids[US/ssn]": map[string]any{"country": "US", "kind": "ssn", "value": "078-05-1120"}, "phones": nil,
		},
		Provenance: map[string]employee.Origin{"name.given": {Source: "bamboohr", At: at}},
		Pending:    []employee.Pending{{Effective: "2026-12-01", Source: "bamboohr", Fields: employee.Flat{"compensation": map[string]any{"amount": "81234.00"}}}},
	}
	head, basic, restricted, err := state.Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	c.seal(topology.People, topology.Employee(id), id, "change1", event.EmployeeUpdatedV1, seal.Envelope{Head: head, Basic: basic, Restricted: restricted})
	for kind, value := range map[string]string{"email": "plantedname@acme.example", "number": "00117"} {
		subject := topology.Match(kind, sealer.Token("match", kind, value))
		c.seal(topology.People, subject, id, "match-"+kind, event.MatchReservedV1, seal.Envelope{Head: fmt.Appendf(nil, `{"employee":%q}`, id)})
	}
	for target, refs := range map[string]map[string]string{
		"okta": {"id": "00u1", "login": "plantedname@acme.example", "title": "PLANTEDTITLE"}, "personio": {"id": "p7"},
	} {
		m, err := codec.Deliver(t.Context(), record.Delivery{Target: target, Employee: id, Version: 3, Outcome: record.OutcomeApplied, At: at, Refs: refs,
			Body: map[string]any{"firstName": "Plantedname"}}, false)
		if err != nil {
			t.Fatal(err)
		}
		c.publish(topology.Delivered, m.Subject, m.Event)
	}
	// personio only confirmed what was known: the state does not name it.
	for key, owner := range map[string]string{"p7": id, "p8": "another"} {
		token := codec.Token("personio", key)
		said, err := codec.State(t.Context(), token, record.Statement{Source: "personio", Employee: owner, Status: record.StatusUnchanged, Event: "ev-" + key, AcceptedAt: at, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		c.publish(topology.People, said.Subject, said.Event)
	}
	return c
}

func (c *company) seal(stream, subject, owner, ceID, typ string, e seal.Envelope) {
	c.t.Helper()
	data, err := c.dir.Sealer.Seal(c.t.Context(), owner, ceID+"|"+typ, e)
	if err != nil {
		c.t.Fatal(err)
	}
	c.publish(stream, subject, event.New(ceID, "/muster/acme/test", typ, data))
}

func (c *company) publish(stream, subject string, e event.Event) {
	c.t.Helper()
	if _, err := c.bus.Publish(c.t.Context(), stream, bus.Out{Subject: subject, Event: e}); err != nil {
		c.t.Fatal(err)
	}
}

func TestFind(t *testing.T) {
	c := hired(t)
	external := []struct{ source, key, want string }{
		{"bamboohr", "117", id}, {"bamboohr", "118", ""}, {"personio", "117", ""}, {"personio", "p7", id}, {"bad.>", "117", ""},
	}
	for _, tt := range external {
		if got, err := c.dir.ByExternal(t.Context(), tt.source, tt.key); err != nil || got != tt.want {
			t.Errorf("ByExternal(%s, %s) = %q, %v", tt.source, tt.key, got, err)
		}
	}
	for q, want := range map[string][]string{
		id: {id}, "plantedname@acme.example": {id}, "PlantedName@ACME.example ": {id}, "00117": {id},
		"117": nil, "plantedname": nil, "*": nil, ">": nil, "a.b": nil,
	} {
		if got, err := c.dir.Search(t.Context(), q); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("Search(%q) = %v, %v; want %v", q, got, err, want)
		}
	}
}

func TestGet(t *testing.T) {
	c := hired(t)
	p, err := c.dir.Get(t.Context(), id, true)
	if err != nil {
		t.Fatal(err)
	}
	if p.ID != id || p.Status != "active" || p.Version != 3 || p.Masked ||
		fmt.Sprint(p.External) != "map[bamboohr:[117] greenhouse:[55 application:56] personio:[p7]]" {
		t.Errorf("summary %+v", p.Summary)
	}
	pay, _ := p.Employee["compensation"].(map[string]any)
	if pay["amount"] != "71234.00" || p.Employee["id"] != id || p.Provenance["name.given"].Source != "bamboohr" {
		t.Errorf("employee %+v", p.Employee)
	}
	if len(p.Pending) != 1 || p.Pending[0].Effective != "2026-12-01" {
		t.Errorf("pending %+v", p.Pending)
	}
	want := Source{"bamboohr", "117", "applied", &connector.Version{Scale: "sequence", Value: "9"}, at}
	if len(p.Sources) != 2 || !reflect.DeepEqual(p.Sources[0], want) || p.Sources[1].Key != "p7" || p.Sources[1].Version != nil {
		t.Errorf("sources %+v", p.Sources)
	}
	if len(p.Targets) != 2 || p.Targets[0].Target != "okta" || p.Targets[0].State != "applied" || p.Targets[0].Version != 3 ||
		p.Targets[0].Refs["login"] != "plantedname@acme.example" {
		t.Errorf("targets %+v", p.Targets)
	}
}

// A source's key that tells who somebody is, is masked wherever keys stand, in a
// list too; others stay, since people are looked up by them.
func TestAKeyThatTellsWho(t *testing.T) {
	c := hired(t)
	codec := c.dir.codec()
	st := employee.State{
		Head: employee.Head{ID: id, Version: 4, Status: "active", Contains: map[string]uint64{}, AcceptedAt: at},
		Fields: employee.Flat{
			"name.family": "Plantedname", "employee_number": "00117", "national_ids[US/ssn]": map[string]any{"country": "US", "kind": "ssn", "value": "078-05-1120"},
			"external.roster": []any{"plantedname@acme.example", "078-05-1120", "PLANTEDNAME", "00117"},
		},
	}
	for _, key := range []string{"078-05-1120", "117"} {
		token := codec.Token("bamboohr", key)
		said, err := codec.State(t.Context(), token, record.Statement{Source: "bamboohr", Employee: id, Status: record.StatusApplied, Event: "ev-" + key, AcceptedAt: at, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		c.publish(topology.People, said.Subject, said.Event)
		st.Contains["bamboohr."+token] = 1
	}
	head, basic, restricted, err := st.Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	c.seal(topology.People, topology.Employee(id), id, "change2", event.EmployeeUpdatedV1, seal.Envelope{Head: head, Basic: basic, Restricted: restricted})
	masked, err := c.dir.Get(t.Context(), id, false)
	if err != nil {
		t.Fatal(err)
	}
	short, err := c.dir.Summary(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := c.dir.Get(t.Context(), id, true)
	if err != nil {
		t.Fatal(err)
	}
	for name, of := range map[string]any{"person": masked, "summary": short, "shown": shown} {
		b, err := json.Marshal(of)
		if err != nil {
			t.Fatal(err)
		}
		out := strings.ToLower(string(b))
		for _, secret := range []string{"plantedname", "078-05-1120"} {
			if strings.Contains(out, secret) != (name == "shown") {
				t.Errorf("%s: %q found: %v in %s", name, secret, name != "shown", b)
			}
		}
		if !strings.Contains(out, `"117"`) || !strings.Contains(out, `"00117"`) {
			t.Errorf("%s: a key that tells nothing is missing in %s", name, b)
		}
	}
}

// The masked answer holds no value of the person, in no spelling, and the open
// one does, so the search is able to find them.
func TestAMaskedPersonHoldsNoPlantedValue(t *testing.T) {
	c := hired(t)
	secrets := []string{"plantedname", "plantedtitle", "1987-03-05", "71234", "81234", "078-05-1120", "00117", "usd"}
	for _, show := range []bool{false, true} {
		p, err := c.dir.Get(t.Context(), id, show)
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		out := strings.ToLower(string(b))
		for _, s := range secrets {
			if strings.Contains(out, s) != show {
				t.Errorf("show=%v: %q found: %v in %s", show, s, !show, b)
			}
		}
		for _, s := range []string{`"id":"00u1"`, `"117"`, `"status":"active"`, `"phones":null`} {
			if !strings.Contains(out, s) {
				t.Errorf("show=%v: %s is missing in %s", show, s, b)
			}
		}
	}
}

func TestGetUnknownAndErased(t *testing.T) {
	c := hired(t)
	for _, unknown := range []string{"zzzz", "", "a.b", "*", ">"} {
		if _, err := c.dir.Get(t.Context(), unknown, false); !errors.Is(err, ErrNotFound) {
			t.Errorf("Get(%q): %v", unknown, err)
		}
	}
	c.keys.Delete(topology.Key("basic", id))
	c.dir.Sealer.Forget(id)
	if _, err := c.dir.Summary(t.Context(), id); !errors.Is(err, ErrErased) {
		t.Errorf("after the key was deleted: %v", err)
	}
}
