package transform

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/service"
	"github.com/muster-hr/muster/libs/testkit"
	"github.com/muster-hr/muster/libs/topology"
)

type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// The service as it is started: a record becomes a person, one that does not
// fit a dead letter, both are counted, and it stops when told.
func TestRun(t *testing.T) {
	srv := testkit.JetStream(t)
	b := testkit.Bus(t, srv, bus.Names{Sources: []string{"ats"}})
	text := seal.NewMaster()
	master, err := seal.ParseMaster(text)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.New(t.Context(), service.KeysOn(b, "acme"), master, seal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	codec := record.Codec{Sealer: sealer, Company: "acme"}
	company := &config.Company{
		Name: "acme", Environment: config.Test, Zone: time.UTC, Version: "c0ffee",
		Sources: map[string]*config.Source{"ats": {
			Account: config.Account{Name: "ats"},
			Mapping: mapping.MustParse("ats.yaml", []byte("fields: {name.given: given, employment.hire_date: hired}"), mapping.Options{Source: "ats"}),
		}},
		Authority: config.Authority{Default: []string{"ats"}},
	}
	for key, body := range map[string]string{"1": `{"given":"Zoltan"}`, "2": `{"given":"Zoltan","hired":"Zoltan"}`} {
		m, err := codec.Receive(t.Context(), "ats", connector.Record{Key: key, ID: key, Body: json.RawMessage(body)}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Publish(t.Context(), topology.Raw, bus.Out{Subject: m.Subject, Event: m.Event}); err != nil {
			t.Fatal(err)
		}
	}

	env := map[string]string{"MUSTER_MASTER_KEY": "env:KEY", "KEY": text.Reveal()}
	out, listening := &log{}, make(chan string, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, service.Host{
			Getenv: func(k string) string { return env[k] }, Stdout: out, Server: srv, Company: company,
			Listening: func(_, url string) { listening <- url },
		})
	}()
	var url string
	select {
	case url = <-listening:
	case err := <-done:
		t.Fatalf("ended with %v", err)
	}
	want := []string{
		`muster_records_total{outcome="applied",source="ats"} 1`, `muster_records_total{outcome="dead",source="ats"} 1`,
		`muster_changes_total{type="hr.employee.updated.v1"} 1`, `muster_dead{stage="map"} 1`,
	}
	deadline, ticker := time.After(30*time.Second), time.NewTicker(20*time.Millisecond)
	defer ticker.Stop()
	for missing := want; len(missing) > 0; {
		metrics := get(t, url+"/metrics")
		for len(missing) > 0 && strings.Contains(metrics, missing[0]) {
			missing = missing[1:]
		}
		select {
		case <-deadline:
			t.Fatalf("%s is not counted", missing[0])
		case <-ticker.C:
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if s := out.b.String(); strings.Contains(s, "Zoltan") {
		t.Errorf("the log shows a value: %s", s)
	}
}

func TestRunWithoutSettings(t *testing.T) {
	if err := Run(t.Context(), service.Host{}); err == nil || !strings.Contains(err.Error(), "MUSTER_MASTER_KEY") {
		t.Errorf("error = %v", err)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
