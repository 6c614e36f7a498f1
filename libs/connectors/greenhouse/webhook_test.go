package greenhouse

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/sourcetest"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/secret"
)

const key = "kluczyk-œ-1"

func sample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "vendor", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sign(key string, body []byte) http.Header {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(body)
	return http.Header{
		"Content-Type": {"application/json"},
		"Signature":    {"sha256 " + hex.EncodeToString(mac.Sum(nil))},
	}
}

func open(t testing.TB, secrets map[string]string, settings map[string]any) connector.Webhook {
	t.Helper()
	a := connector.Account{Name: "greenhouse", Settings: settings, Secrets: map[string]secret.Value{}}
	for name, v := range secrets {
		a.Secrets[name] = secret.New(v)
	}
	w, err := Type.Webhook(a)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestPromises(t *testing.T) {
	for _, name := range []string{"hire_candidate.json", "unhire_candidate.json"} {
		t.Run(name, func(t *testing.T) {
			sourcetest.RunWebhook(t, sourcetest.Webhook{
				Open:    func(t *testing.T) connector.Webhook { return open(t, map[string]string{"webhook": key}, nil) },
				Sign:    func(body []byte) http.Header { return sign(key, body) },
				Record:  sample(t, name),
				Keys:    []string{"59120077"},
				Ping:    sample(t, "ping.json"),
				Unknown: sample(t, "offer_updated.json"),
				Success: http.StatusOK,
				Intact:  true,
				Now:     time.Date(2026, 6, 18, 14, 3, 0, 0, time.UTC),
			})
		})
	}
}

func TestKinds(t *testing.T) {
	for _, c := range []struct {
		name, body string
		events     []string
		kind       connector.Kind
		key        string
		partial    bool
		path       string // of the fault
	}{
		{name: "an id as text", body: `{"action":"hire_candidate","payload":{"application":{"candidate":{"id":"17"}}}}`, kind: connector.KindRecord, key: "17"},
		{name: "an id above 2^53", body: `{"action":"hire_candidate","payload":{"application":{"candidate":{"id":9007199254740993}}}}`, kind: connector.KindRecord, key: "9007199254740993"},
		{name: "the name in the screens is not an action", body: `{"action":"candidate_hired","payload":{}}`, kind: connector.KindIgnored},
		{name: "stage change", body: `{"action":"candidate_stage_change","payload":{"application":{"candidate":{"id":1}}}}`, kind: connector.KindIgnored},
		{name: "deleted", body: `{"action":"delete_candidate","payload":{"person":{"id":1}}}`, kind: connector.KindIgnored},
		{name: "anonymized", body: `{"action":"candidate_anonymized","payload":{"candidate_id":1,"anonymized_fields":[]}}`, kind: connector.KindIgnored},
		{name: "onboarding", body: `{"event_type":"employee:updated","id":"x","payload":{}}`, kind: connector.KindIgnored},
		{name: "ping with any payload", body: `{"action":"ping","payload":{"x":[]}}`, kind: connector.KindPing},
		{name: "update is followed when asked for", body: `{"action":"update_candidate","payload":{"candidate":{"id":8}}}`, events: []string{"update_candidate"}, kind: connector.KindRecord, key: "8", partial: true},
		{name: "hire without candidate", body: `{"action":"hire_candidate","payload":{"application":{}}}`, path: "payload.application.candidate.id"},
		{name: "hire without application", body: `{"action":"hire_candidate","payload":{}}`, path: "payload.application"},
		{name: "an id that is none", body: `{"action":"hire_candidate","payload":{"application":{"candidate":{"id":1.5}}}}`, path: "payload.application.candidate.id"},
		{name: "a null id", body: `{"action":"hire_candidate","payload":{"application":{"candidate":{"id":null}}}}`, path: "payload.application.candidate.id"},
		{name: "no action", body: `{"payload":{}}`, path: "action"},
	} {
		t.Run(c.name, func(t *testing.T) {
			settings := map[string]any{}
			if c.events != nil {
				settings["events"] = c.events
			}
			w := open(t, map[string]string{"webhook": key}, settings)
			recs, res, err := w.Open(t.Context(), connector.Request{Header: sign(key, []byte(c.body)), Body: []byte(c.body)})
			if res.Status != http.StatusOK {
				t.Errorf("answered %d: Greenhouse takes only 200 for delivered", res.Status)
			}
			if c.path != "" {
				if f := fault.Of(err); f == nil || f.Class != fault.Record || f.Path != c.path {
					t.Fatalf("error %v, want one of class record at %s", err, c.path)
				}
				return
			}
			if err != nil || len(recs) != 1 {
				t.Fatalf("%d records, %v", len(recs), err)
			}
			if r := recs[0]; r.Kind != c.kind || r.Key != c.key || r.Partial != c.partial || r.Version != (connector.Version{}) {
				t.Errorf("record %+v", r)
			}
		})
	}
}

func TestSeveralSecretsAreValid(t *testing.T) {
	w := open(t, map[string]string{"webhook": "one\r\ntwo\n", "webhook_previous": "old"}, nil)
	body := sample(t, "ping.json")
	for k, valid := range map[string]bool{"one": true, "two": true, "old": true, "one\r\ntwo": false, "": false, "three": false} {
		_, _, err := w.Open(t.Context(), connector.Request{Header: sign(k, body), Body: body})
		if (err == nil) != valid {
			t.Errorf("key %q: %v", k, err)
		}
	}
	if _, err := Type.Webhook(connector.Account{Secrets: map[string]secret.Value{"webhook": secret.New(" \n")}}); err == nil {
		t.Error("an account without a key can verify nothing and was made")
	}
}

// The delivery id is outside the signature: it tells two deliveries apart, but
// cannot make one message pass for another.
func TestEventID(t *testing.T) {
	id := func(event string, body []byte) string {
		h := sign(key, body)
		if event != "" {
			h.Set("Greenhouse-Event-ID", event)
		}
		recs, _, err := open(t, map[string]string{"webhook": key}, nil).Open(t.Context(), connector.Request{Header: h, Body: body})
		if err != nil {
			t.Fatal(err)
		}
		return recs[0].ID
	}
	hire, unhire := sample(t, "hire_candidate.json"), sample(t, "unhire_candidate.json")
	for _, event := range []string{"1", ""} {
		if once, again := id(event, hire), id(event, hire); once != again {
			t.Errorf("event %q: a repeat has another id", event)
		}
	}
	seen := map[string]bool{id("1", hire): true, id("2", hire): true, id("1", unhire): true, id("", hire): true}
	if len(seen) != 4 {
		t.Errorf("%d different ids, want 4", len(seen))
	}
}

func TestErrorsHoldNoValues(t *testing.T) {
	body := bytes.Replace(sample(t, "hire_candidate.json"), []byte(`"id": 59120077`), []byte(`"id": "Zofia"`), 1)
	_, _, err := open(t, map[string]string{"webhook": key}, nil).Open(t.Context(), connector.Request{Header: sign(key, body), Body: body})
	if err == nil || bytes.Contains([]byte(err.Error()), []byte("Zofia")) {
		t.Errorf("error %v", err)
	}
}

// Whatever an authentic sender writes, Open answers: one record or one fault.
func TestAnyAuthenticBody(t *testing.T) {
	w := open(t, map[string]string{"webhook": key}, nil)
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.Uint64Range(1, 1<<63).Draw(t, "id")
		body, err := json.Marshal(map[string]any{"action": "hire_candidate", "payload": map[string]any{"application": map[string]any{
			"candidate": map[string]any{"id": id, "first_name": rapid.String().Draw(t, "name")},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		recs, _, err := w.Open(context.Background(), connector.Request{Header: sign(key, body), Body: body})
		if err != nil || len(recs) != 1 || !bytes.Equal(recs[0].Body, body) {
			t.Fatalf("%d records, %v", len(recs), err)
		}
		if want, _ := json.Marshal(id); recs[0].Key != string(want) {
			t.Fatalf("key %s of %d", recs[0].Key, id)
		}
	})
}

func FuzzOpen(f *testing.F) {
	for _, name := range []string{"hire_candidate.json", "unhire_candidate.json", "merge_candidate.json", "offer_updated.json", "ping.json"} {
		f.Add(sample(f, name))
	}
	f.Add([]byte(`{"action":"hire_candidate","payload":[]}`))
	w := open(f, map[string]string{"webhook": key}, nil)
	f.Fuzz(func(t *testing.T, body []byte) {
		recs, res, err := w.Open(t.Context(), connector.Request{Header: sign(key, body), Body: body})
		if (err == nil) != (len(recs) == 1) {
			t.Errorf("%d records, error %v", len(recs), err)
		}
		if err != nil && (fault.Of(err).Class != fault.Record || res.Status != http.StatusOK) {
			t.Errorf("answered %d, %v", res.Status, err)
		}
		for _, r := range recs {
			if (r.Kind == connector.KindRecord) != (r.Key != "") || !json.Valid(r.Body) {
				t.Errorf("record %+v", r)
			}
		}
	})
}
