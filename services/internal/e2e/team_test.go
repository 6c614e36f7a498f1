package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// teamReads is a downstream team's program: the plain client, its own key.
func teamReads(t *testing.T, s *system, id string) {
	key, err := nats.NkeyOptionFromSeed(s.NATS.NKeys["team-bi"])
	if err != nil {
		t.Fatal(err)
	}
	refused := make(chan error, 64)
	nc, err := nats.Connect(s.NATS.URL, key, nats.CustomInboxPrefix("_INBOX_team-bi"), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}

	// The demo read and acknowledged the events of its own run; one more change
	// makes one that is still there.
	hris, _ := hired(t, s)
	delivered := func() int {
		var page struct {
			Items []struct{ Kind, Target, Outcome string }
		}
		s.api("/employees/"+id+"/timeline?limit=500", &page)
		n := 0
		for _, i := range page.Items {
			if i.Kind == "delivery" && i.Target == "team-bi" && i.Outcome == "applied" {
				n++
			}
		}
		return n
	}
	for _, department := range []string{"Legal", "Sales", "Support"} {
		before := delivered()
		s.do("bamboohr", "move", map[string]any{"id": hris, "department": department})
		s.until("the move to "+department, 15*time.Second, func() bool { return delivered() > before })
	}
	consumer, err := js.Consumer(t.Context(), "TEAM_bi", "bi")
	if err != nil {
		t.Fatal(err)
	}
	batch, err := consumer.Fetch(50, jetstream.FetchMaxWait(3*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	var departments []string
	last := ""
	for m := range batch.Messages() {
		if err := m.DoubleAck(t.Context()); err != nil {
			t.Errorf("acknowledge: %v", err)
		}
		if h := m.Headers(); h.Get("ce-subject") == "" && len(h["ce-subject"]) == 0 || h["ce-subject"][0] != id {
			continue
		}
		if seq := m.Headers()["ce-sequence"][0]; len(seq) != 20 || seq <= last {
			t.Errorf("sequence %s after %s", seq, last)
		} else {
			last = seq
		}
		var data struct {
			Employee map[string]any `json:"employee"`
			Changed  []string       `json:"changed"`
		}
		if err := json.Unmarshal(m.Data(), &data); err != nil {
			t.Fatal(err)
		}
		for name := range data.Employee {
			if name != "employment" && name != "positions" && name != "id" {
				t.Errorf("the team received %s", name)
			}
		}
		if p, ok := data.Employee["positions"].([]any); ok && len(p) > 0 {
			departments = append(departments, fmt.Sprint(p[0].(map[string]any)["department"]))
		}
	}
	if got := strings.Join(departments, " "); got != "Legal Sales Support" {
		t.Errorf("departments in order: %q", got)
	}

	for what, try := range map[string]func() error{
		"read another stream": func() error { _, err := js.Stream(t.Context(), "PEOPLE"); return err },
		"list streams":        func() error { return listed(t.Context(), js) },
		"make a consumer": func() error {
			_, err := js.CreateConsumer(t.Context(), "TEAM_bi", jetstream.ConsumerConfig{Durable: "x"})
			return err
		},
		"purge its stream": func() error { _, err := nc.Request("$JS.API.STREAM.PURGE.TEAM_bi", nil, time.Second); return err },
		"read a message directly": func() error {
			_, err := nc.Request("$JS.API.DIRECT.GET.KEYS", []byte(`{"seq":1}`), time.Second)
			return err
		},
		"rewind its consumer": func() error { _, err := nc.Request("$JS.API.CONSUMER.RESET.TEAM_bi.bi", nil, time.Second); return err },
		"use another's consumer": func() error {
			_, err := nc.Request("$JS.API.CONSUMER.MSG.NEXT.PEOPLE.delivery-okta", nil, time.Second)
			return err
		},
	} {
		if err := try(); err == nil {
			t.Errorf("a team may %s", what)
		}
	}
	for _, subject := range []string{"hr.employee.>", "hr.team.bi.>", "_INBOX.>", "$JS.EVENT.>"} {
		drain(refused)
		if _, err := nc.SubscribeSync(subject); err != nil {
			continue
		}
		if !denied(nc, refused) {
			t.Errorf("a team may subscribe to %s", subject)
		}
	}
	for _, subject := range []string{"hr.raw.bamboohr.x", "hr.team.bi.updated.x", "hr.decide.transform.erase"} {
		drain(refused)
		_ = nc.Publish(subject, []byte("x"))
		if !denied(nc, refused) {
			t.Errorf("a team may publish on %s", subject)
		}
	}
}

func drain(c chan error) {
	for len(c) > 0 {
		<-c
	}
}

func denied(nc *nats.Conn, refused chan error) bool {
	_ = nc.Flush()
	select {
	case err := <-refused:
		return strings.Contains(strings.ToLower(err.Error()), "permissions violation")
	case <-time.After(2 * time.Second):
		return false
	}
}

func listed(ctx context.Context, js jetstream.JetStream) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	names := js.StreamNames(ctx)
	for range names.Name() { // drained: the error is what counts
	}
	return names.Err()
}
