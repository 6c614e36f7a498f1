package play

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/httpx"
	"github.com/muster-hr/muster/libs/connectors"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/secret"
	"github.com/muster-hr/muster/libs/testkit"
)

// TestDoor: a fake that does not speak HTTP listens where the company looks for
// it, with the sandbox's secret; its memory, request log and faults are the
// stage's like any other's.
func TestDoor(t *testing.T) {
	company := load(t)
	doors := map[string]string{"people": freePort(t)}
	if err := company.UseSandbox("http://127.0.0.1:8090", doors); err != nil {
		t.Fatal(err)
	}
	w := &world{Stage: New(company, Options{Now: time.Now, Ingress: func() string { return "" }, Log: testkit.Log(t)})}
	if err := w.Listen(t.Context(), doors); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()

	account, err := company.Account(&company.Targets["people"].Account, config.ForAPI, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	account.Dial = httpx.Dial(account.BaseURL, nil)
	sink, err := connectors.All["ldap"].Sink(account)
	if err != nil {
		t.Fatal(err)
	}
	d := connector.Delivery{ID: "1", Status: "active", Body: map[string]any{"attributes": map[string]any{"uid": "ada", "cn": "Ada", "sn": "Byron"}}}
	w.ask(t, 204, "POST", "/_sandbox/people/faults", `{"status":503,"times":1,"match":{"method":"ADD"}}`)
	if _, err := sink.Apply(t.Context(), d, nil); fault.Of(err) == nil || fault.Of(err).Class != fault.Transient {
		t.Errorf("with a fault: %v", err)
	}
	r, err := sink.Apply(t.Context(), d, nil)
	if err != nil {
		t.Fatal(err)
	}
	people, _ := w.ask(t, 200, "GET", "/_sandbox/people/state", "")["people"].(map[string]any)
	if p, _ := people[r.Refs["id"]].(map[string]any); p["cn"] != "Ada" || p["disabled"] != false {
		t.Errorf("people %v", people)
	}
	var added []float64
	requests, _ := w.ask(t, 200, "GET", "/_sandbox/people/requests", "")["requests"].([]any)
	for _, x := range requests {
		if seen, _ := x.(map[string]any); seen["method"] == "ADD" {
			status, _ := seen["status"].(float64)
			added = append(added, status)
		}
	}
	if len(added) != 2 || added[0] != 503 || added[1] != 200 {
		t.Errorf("adds were answered %v", added)
	}
	account.Secrets = map[string]secret.Value{"password": secret.New("wrong")}
	wrong, err := connectors.All["ldap"].Sink(account)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wrong.Apply(t.Context(), d, nil); fault.Of(err) == nil || fault.Of(err).Class != fault.Target {
		t.Errorf("a wrong password: %v", err)
	}
	if got := w.call("GET", "/people/x", ""); got.Code != 404 {
		t.Errorf("over HTTP: %d", got.Code)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", doors["people"]); err == nil {
		c.Close()
		t.Error("the door is still open")
	}
}

// TestDoorThatIsTaken: the sandbox says which, and leaves none open.
func TestDoorThatIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := New(load(t), Options{Now: time.Now, Ingress: func() string { return "" }, Log: testkit.Log(t)})
	if err := s.Listen(t.Context(), map[string]string{"people": l.Addr().String()}); err == nil || errors.Is(err, net.ErrClosed) {
		t.Errorf("a taken door: %v", err)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
