package gusto

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connector/sourcetest"
	vendorfake "github.com/muster-hr/muster/libs/connectors/gusto/fake"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/secret"
)

func hook(t testing.TB, settings map[string]any, secrets map[string]string) connector.Webhook {
	t.Helper()
	a := connector.Account{Settings: map[string]any{"company": companyID}, Secrets: map[string]secret.Value{}}
	for name, v := range settings {
		a.Settings[name] = v
	}
	for name, v := range secrets {
		a.Secrets[name] = secret.New(v)
	}
	w, err := Type.Webhook(a)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func event(t testing.TB) []byte {
	t.Helper()
	var s struct{ Body json.RawMessage }
	sample(t, "webhook.json", &s)
	return s.Body
}

func TestWebhookKeepsThePromises(t *testing.T) {
	sourcetest.RunWebhook(t, sourcetest.Webhook{
		Open: func(t *testing.T) connector.Webhook {
			return hook(t, nil, map[string]string{"webhook": hookToken})
		},
		Sign:    func(body []byte) http.Header { return vendorfake.Sign(hookToken, body) },
		Record:  event(t),
		Keys:    []string{"c6a0b1de-9d0e-4a86-8a40-3d0f6f0a7e11"},
		Unknown: bytes.Replace(event(t), []byte("employee.updated"), []byte("payroll.submitted"), 1),
		Success: http.StatusOK,
		Intact:  true,
		Now:     time.Unix(1772461200, 0),
	})
}

// TestSignatureVector is the vendor's: exact bytes, no final newline.
func TestSignatureVector(t *testing.T) {
	var v struct{ Header, Key, Value string }
	sample(t, "signature-vector.json", &v)
	body, err := os.ReadFile(filepath.Join("testdata", "vendor", "signature-vector.body"))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := hex.DecodeString(v.Value)
	w := hook(t, map[string]any{"company": "a007e1ab-3595-43c2-ab4b-af7a5af2e361"}, map[string]string{"webhook": v.Key})
	for form, value := range map[string]string{"hex": v.Value, "base64": base64.StdEncoding.EncodeToString(raw)} {
		h := http.Header{}
		h.Set(v.Header, value)
		recs, res, err := w.Open(t.Context(), connector.Request{Header: h, Body: body})
		if err != nil || res.Status != http.StatusOK || len(recs) != 1 || recs[0].Kind != connector.KindHint || recs[0].Key != "c6a0b1de-9d0e-4a86-8a40-3d0f6f0a7e11" {
			t.Fatalf("%s: %+v, %v", form, recs, err)
		}
		if got := recs[0].Version; got != (connector.Version{Scale: connector.ScaleTime, Value: "2026-03-02T14:20:01Z"}) {
			t.Errorf("%s: version %+v", form, got)
		}
		if recs[0].ID != "f1d2b5a0-7d3e-4a2b-9b8f-7c0d2f1f6b51" {
			t.Errorf("%s: id %s, want the event's UUID", form, recs[0].ID)
		}
	}
}

func TestWhichEventsAreFollowed(t *testing.T) {
	for _, c := range []struct {
		name  string
		patch [2]string
		kind  connector.Kind
		path  string
	}{
		{"an employee's", [2]string{"employee.updated", "employee.terminated"}, connector.KindHint, ""},
		{"another company's", [2]string{"a007e1ab-3595-43c2-ab4b-af7a5af2e365", "b007e1ab-3595-43c2-ab4b-af7a5af2e365"}, connector.KindIgnored, ""},
		{"another object's", [2]string{`"entity_type": "Employee"`, `"entity_type": "Compensation"`}, connector.KindIgnored, ""},
		{"a similar name", [2]string{"employee.updated", "employee_benefit.updated"}, connector.KindIgnored, ""},
		{"no event", [2]string{`"event_type": "employee.updated"`, `"event_type": ""`}, "", "event_type"},
		{"no UUID", [2]string{"f1d2b5a0-7d3e-4a2b-9b8f-7c0d2f1f6b52", "Zoë"}, "", "uuid"},
		{"a bad time", [2]string{"1772461200", "-1"}, "", "timestamp"},
		{"a fraction", [2]string{"1772461200", "1.5"}, "", "timestamp"},
	} {
		body := bytes.Replace(event(t), []byte(c.patch[0]), []byte(c.patch[1]), 1)
		if bytes.Equal(body, event(t)) {
			t.Fatalf("%s: nothing was changed", c.name)
		}
		w := hook(t, nil, map[string]string{"webhook": hookToken})
		recs, res, err := w.Open(t.Context(), connector.Request{Header: vendorfake.Sign(hookToken, body), Body: body})
		if res.Status != http.StatusOK {
			t.Errorf("%s: answered %d", c.name, res.Status)
		}
		if c.path != "" {
			if f := fault.Of(err); f == nil || f.Class != fault.Record || f.Path != c.path || len(recs) > 0 {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil || len(recs) != 1 || recs[0].Kind != c.kind {
			t.Errorf("%s: %+v, %v", c.name, recs, err)
		}
	}
}

// TestHandshake from the subscription to the first event.
func TestHandshake(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	setting := map[string]any{"verification_token_file": file}
	w := hook(t, setting, nil)
	var came []fake.Hook
	vendor := vendorfake.New(fake.Options{
		Secret: hookToken, Settings: map[string]string{"system_token": "sys", "company": companyID},
		Send: func(_ context.Context, h fake.Hook) { came = append(came, h) },
	})
	made := map[string]any{}
	ask(t, vendor, "POST", "/v1/webhook_subscriptions", `{"url":"https://muster.example/webhooks/gusto","subscription_types":["Employee"]}`, 201, &made)
	if len(came) != 1 || made["status"] != "pending" {
		t.Fatalf("%d calls, subscription %v", len(came), made)
	}
	first := connector.Request{Header: came[0].Header, Body: came[0].Body}
	recs, res, err := w.Open(t.Context(), first)
	if err != nil || res.Status != 200 || len(recs) != 1 || recs[0].Kind != connector.KindPing || bytes.Contains(recs[0].Body, []byte(hookToken)) {
		t.Fatalf("%+v %d %v", recs, res.Status, err)
	}
	token, err := os.ReadFile(file)
	if err != nil || string(bytes.TrimSpace(token)) != hookToken {
		t.Fatalf("token %q, %v", token, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	verify, _ := json.Marshal(map[string]string{"verification_token": string(bytes.TrimSpace(token))})
	ask(t, vendor, "PUT", "/v1/webhook_subscriptions/"+made["uuid"].(string)+"/verify", string(verify), 200, &made) //nolint:forcetypeassert // the fake's
	if made["status"] != "verified" {
		t.Errorf("subscription %v", made)
	}

	// From now on the token is a secret, and nobody can bring another one.
	w = hook(t, setting, map[string]string{"webhook": hookToken})
	if _, res, err = w.Open(t.Context(), first); err != nil || res.Status != 200 {
		t.Errorf("the same handshake again: %d %v", res.Status, err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	forged := bytes.Replace(came[0].Body, []byte(hookToken), []byte("Zb3xkQ0vJt1m9Yz7"), 1)
	if _, res, err = w.Open(t.Context(), connector.Request{Header: came[0].Header, Body: forged}); err == nil || res.Status != 401 {
		t.Errorf("another token was answered %d, %v", res.Status, err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("another token was written")
	}
}

// TestHandshakeIsNotBelievedBlindly without a file to write to, or with a
// token that is none.
func TestHandshakeIsNotBelievedBlindly(t *testing.T) {
	if _, err := Type.Webhook(connector.Account{}); err == nil {
		t.Error("an account that can verify nothing was made")
	}
	file := filepath.Join(t.TempDir(), "token")
	w := hook(t, map[string]any{"verification_token_file": file}, nil)
	for _, body := range []string{`{}`, `{"verification_token":"short","webhook_subscription_uuid":"8f2e"}`, `{"verification_token":"../../etc/passwd;rm","webhook_subscription_uuid":"8f2e"}`,
		`{"verification_token":"Ab3xkQ0vJt1m9Yz7"}`, `{"verification_token":"Ab3xkQ0vJt1m9Yz7","webhook_subscription_uuid":"8f2e","event_type":"employee.updated"}`, `null`, `[]`} {
		if _, res, err := w.Open(t.Context(), connector.Request{Header: http.Header{}, Body: []byte(body)}); err == nil || res.Status != 401 {
			t.Errorf("%s: %d %v", body, res.Status, err)
		}
	}
	// And without a key no signature is good, not even that of an empty one.
	if _, res, err := w.Open(t.Context(), connector.Request{Header: vendorfake.Sign("", event(t)), Body: event(t)}); err == nil || res.Status != 401 {
		t.Errorf("signed with nothing: %d %v", res.Status, err)
	}
}

func TestSeveralTokensAreValid(t *testing.T) {
	w := hook(t, nil, map[string]string{"webhook": "token-one\r\ntoken-two\n", "webhook_previous": "token-old"})
	for token, valid := range map[string]bool{"token-one": true, "token-two": true, "token-old": true, "": false, "other": false} {
		_, _, err := w.Open(t.Context(), connector.Request{Header: vendorfake.Sign(token, event(t)), Body: event(t)})
		if (err == nil) != valid {
			t.Errorf("%q: %v", token, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(event(f), true)
	f.Add([]byte(`{"verification_token":"Ab3xkQ0vJt1m9Yz7","webhook_subscription_uuid":"8f2e1b6c"}`), false)
	f.Add([]byte(`{"uuid":"1","event_type":"employee.x","entity_type":"Employee","entity_uuid":"2","timestamp":1e400}`), true)
	w := hook(f, nil, map[string]string{"webhook": hookToken})
	f.Fuzz(func(t *testing.T, body []byte, signed bool) {
		h := http.Header{}
		if signed {
			h = vendorfake.Sign(hookToken, body)
		}
		recs, res, err := w.Open(t.Context(), connector.Request{Header: h, Body: body})
		if (err == nil) != (len(recs) == 1) || signed && res.Status != 200 {
			t.Errorf("%d records, status %d, %v", len(recs), res.Status, err)
		}
		for _, r := range recs {
			if !json.Valid(r.Body) || r.ID == "" || (r.Kind == connector.KindHint) != (r.Key != "") || !signed && r.Kind != connector.KindPing {
				t.Errorf("%+v", r)
			}
		}
	})
}
