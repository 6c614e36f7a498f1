package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/ledger"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/service"
	"github.com/muster-hr/muster/libs/testkit"
	"github.com/muster-hr/muster/libs/topology"
	"github.com/muster-hr/muster/services/audit"
)

// The service on a real broker and a real database: one change and its
// delivery become a timeline.
func TestRun(t *testing.T) {
	srv := testkit.JetStream(t)
	b := testkit.Bus(t, srv, bus.Names{Targets: []string{"okta"}})
	text := seal.NewMaster()
	master, err := seal.ParseMaster(text)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.New(t.Context(), service.KeysOn(b, "acme"), master, seal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	publish := func(stream, subject, id, typ, head string) {
		t.Helper()
		data, err := sealer.Seal(t.Context(), "emp1", id+"|"+typ, seal.Envelope{Head: json.RawMessage(head), Basic: json.RawMessage(`{"name":"Zoltan"}`)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Publish(t.Context(), stream, bus.Out{Subject: subject, Event: event.New(id, "/muster/acme/x", typ, data)}); err != nil {
			t.Fatal(err)
		}
	}
	publish(topology.People, topology.Employee("emp1"), "ev1", event.EmployeeHiredV1, `{"id":"emp1","version":1,"status":"active","changed":["name.given"]}`)
	publish(topology.Delivered, topology.DeliveredTo("okta", "emp1"), "d1", event.DeliveryCompletedV1,
		`{"target":"okta","employee":"emp1","event":"ev1","type":"hr.employee.hired.v1","attempt":1,"outcome":"applied","fields":["name.given"]}`)

	dsn := testkit.Postgres(t)
	env := map[string]string{"MUSTER_DATABASE_URL": dsn, "MUSTER_MASTER_KEY": "env:KEY", "KEY": text.Reveal()}
	var log bytes.Buffer
	listening := make(chan string, 1)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- audit.Run(ctx, service.Host{
			Getenv: func(k string) string { return env[k] }, Stdout: &log, Server: srv,
			Company:   &config.Company{Name: "acme", Environment: config.Test, Targets: map[string]*config.Target{"okta": {}}},
			Listening: func(_, url string) { listening <- url },
		})
	}()
	defer cancel()
	var url string
	select {
	case url = <-listening:
	case err := <-done:
		t.Fatalf("ended with %v", err)
	}

	l, err := ledger.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	eventually(t, func() string {
		lines, _, err := l.Timeline(t.Context(), "emp1", 0, "")
		if err != nil {
			return err.Error()
		}
		var got []string
		for _, e := range lines {
			got = append(got, e.Kind+" "+e.Type+" "+e.Target+" "+e.Outcome)
		}
		if strings.Join(got, "; ") != "change hr.employee.hired.v1  active; delivery hr.employee.hired.v1 okta applied" {
			return strings.Join(got, "; ")
		}
		return ""
	})
	eventually(t, func() string { // an answer is kept for a moment
		if body := get(t, url+"/readyz"); !strings.Contains(body, `"ready":true`) {
			return body
		}
		return ""
	})
	eventually(t, func() string { // counted after the commit
		if !strings.Contains(get(t, url+"/metrics"), `muster_audit_rows_total{stream="PEOPLE"} 1`) {
			return "no row is counted"
		}
		return ""
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if s := log.String(); strings.Contains(s, "Zoltan") || strings.Contains(s, dsn) {
		t.Errorf("the log holds what it must not: %s", s)
	}
}

func TestRunWithoutADatabase(t *testing.T) {
	err := audit.Run(t.Context(), service.Host{Getenv: func(string) string { return "" }})
	if !errors.Is(err, service.ErrConfig) || !strings.Contains(err.Error(), "MUSTER_DATABASE_URL") {
		t.Errorf("error = %v", err)
	}
}

// eventually asks until the answer is "", which says what is missing.
func eventually(t *testing.T, missing func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		what := missing()
		if what == "" {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("still: %s", what)
		case <-ticker.C:
		}
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
