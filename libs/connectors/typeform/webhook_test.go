package typeform

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/sourcetest"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/secret"
	"github.com/muster-hr/muster/libs/survey"
	"github.com/muster-hr/muster/libs/testkit/golden"
)

const key = "sekret-œ"

var now = time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)

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
		"Content-Type":       {"application/json"},
		"Typeform-Signature": {"sha256=" + base64.StdEncoding.EncodeToString(mac.Sum(nil))},
	}
}

func hook(t testing.TB, secrets map[string]string, settings map[string]any) connector.Webhook {
	t.Helper()
	a := connector.Account{Name: "typeform", Settings: settings, Secrets: map[string]secret.Value{}}
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
	for name, token := range map[string]string{
		"form_response.json": "k3v9q0x7t5n2m8b4c1z6a0s9d7f5g3h2", "form_response_anonymous.json": "zz11yy22xx33ww44vv55uu66tt77ss88",
	} {
		t.Run(name, func(t *testing.T) {
			sourcetest.RunWebhook(t, sourcetest.Webhook{
				Open:    func(t *testing.T) connector.Webhook { return hook(t, map[string]string{"webhook": key}, nil) },
				Sign:    func(body []byte) http.Header { return sign(key, body) },
				Record:  sample(t, name),
				Keys:    []string{token},
				Unknown: bytes.Replace(sample(t, name), []byte(`"form_response",`), []byte(`"form_response_partial",`), 1),
				Success: http.StatusOK,
				Now:     now,
			})
		})
	}
}

// TestOpened goes from a call or a polled page to the responses in it.
func TestOpened(t *testing.T) {
	golden.Each(t, "testdata/open/*.txtar", func(t *testing.T, c golden.Case) {
		settings := map[string]any{}
		if c.Has("settings.json") {
			var tables map[string]json.RawMessage
			c.JSON(t, "settings.json", &tables)
			for name, raw := range tables {
				var table map[string]string
				var word string
				if json.Unmarshal(raw, &table) == nil {
					settings[name] = table
				} else if err := json.Unmarshal(raw, &word); err == nil {
					settings[name] = word
				}
			}
		}
		var recs []connector.Record
		var err error
		if body := c.File("page.json"); body != nil {
			a, errA := Type.Answers(connector.Account{Settings: settings})
			if errA != nil {
				t.Fatal(errA)
			}
			recs, err = a.OpenAnswer(body, now)
		} else {
			body := c.File("webhook.json")
			recs, _, err = hook(t, map[string]string{"webhook": key}, settings).Open(t.Context(), connector.Request{Header: sign(key, body), Body: body, Now: now})
		}
		if c.WantError(t, "want.err", err) {
			return
		}
		type out struct {
			Key     string
			Version string
			Body    json.RawMessage
		}
		var got []out
		for _, r := range recs {
			got = append(got, out{r.Key, r.Version.Value, r.Body})
		}
		c.Want(t, "want.json", got)
	})
}

// TestSamples: what stands in the vendor's calls is what comes out.
func TestSamples(t *testing.T) {
	body := sample(t, "form_response.json")
	recs, _, err := hook(t, map[string]string{"webhook": key}, nil).Open(t.Context(), connector.Request{Header: sign(key, body), Body: body})
	if err != nil || len(recs) != 1 {
		t.Fatal(recs, err)
	}
	pushed, err := survey.Parse(recs[0].Body)
	if err != nil {
		t.Fatal(err)
	}
	a, err := Type.Answers(connector.Account{})
	if err != nil {
		t.Fatal(err)
	}
	listed, err := a.OpenAnswer(sample(t, "api_responses_page.json"), now)
	if err != nil || len(listed) != 2 {
		t.Fatal(listed, err)
	}
	polled, err := survey.Parse(listed[0].Body)
	if err != nil {
		t.Fatal(err)
	}
	// The same response, pushed and polled, is one record.
	if recs[0].ID != listed[0].ID || recs[0].Key != listed[0].Key || recs[0].Version != listed[0].Version {
		t.Errorf("pushed %+v, polled %+v", recs[0], listed[0])
	}
	if pushed.Survey != "pUlSe26m" || polled.Survey != "pUlSe26m" || len(pushed.Answers) != 6 || len(polled.Answers) != 6 {
		t.Errorf("pushed %+v\npolled %+v", pushed, polled)
	}
	for i := range pushed.Answers {
		p, q := pushed.Answers[i], polled.Answers[i]
		p.Text = "" // the API has no definition
		x, _ := json.Marshal(p)
		y, _ := json.Marshal(q)
		if !bytes.Equal(x, y) {
			t.Errorf("answer %d: pushed %s, polled %s", i, x, y)
		}
	}
	empty, err := survey.Parse(listed[1].Body)
	if err != nil || !empty.Anonymous || len(empty.Answers) != 0 || empty.Scores["enps"] != nil {
		t.Errorf("the empty response is %+v, %v", empty, err)
	}
}

func TestSeveralSecretsAreValid(t *testing.T) {
	w := hook(t, map[string]string{"webhook": "one\r\ntwo\n", "webhook_previous": "old"}, nil)
	body := sample(t, "form_response.json")
	for k, valid := range map[string]bool{"one": true, "two": true, "old": true, "one\r\ntwo": false, "": false, "three": false} {
		_, res, err := w.Open(t.Context(), connector.Request{Header: sign(k, body), Body: body})
		if (err == nil) != valid {
			t.Errorf("key %q: %v", k, err)
		}
		if res.Status == http.StatusNotFound || res.Status == http.StatusGone {
			t.Errorf("answered %d, which switches the webhook off", res.Status)
		}
	}
	if _, err := Type.Webhook(connector.Account{Secrets: map[string]secret.Value{"webhook": secret.New(" \n")}}); err == nil {
		t.Error("an account without a key can verify nothing and was made")
	}
	// Hex, as other vendors write it, is not Typeform's.
	h := sign("one", body)
	h.Set("Typeform-Signature", strings.ToUpper(h.Get("Typeform-Signature")))
	if _, _, err := w.Open(t.Context(), connector.Request{Header: h, Body: body}); err == nil {
		t.Error("another spelling of the signature is taken")
	}
}

func TestWrongSettingsAreRefused(t *testing.T) {
	for name, settings := range map[string]map[string]any{
		"what a field holds": {"respondent": map[string]string{"x": "name"}},
		"ends of a scale":    {"scales": map[string]string{"mgr": "5-1"}},
		"one end":            {"scales": map[string]string{"mgr": "5"}},
	} {
		_, err := Type.Webhook(connector.Account{Settings: settings, Secrets: map[string]secret.Value{"webhook": secret.New("k")}})
		if err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// Whatever somebody answers, it comes out as it went in, and no error tells it.
func TestAnyAnswer(t *testing.T) {
	w := hook(t, map[string]string{"webhook": key}, nil)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		number := rapid.IntRange(0, 10).Draw(t, "number")
		yes := rapid.Bool().Draw(t, "yes")
		field := func(ref, kind string) map[string]any { return map[string]any{"id": "i", "ref": ref, "type": kind} }
		body, err := json.Marshal(map[string]any{"event_type": "form_response", "form_response": map[string]any{
			"form_id": "f", "token": "t", "submitted_at": "2026-05-04T08:15:09Z", "hidden": map[string]string{"email": text},
			"answers": []any{
				map[string]any{"type": "text", "text": text, "field": field("a", "long_text")},
				map[string]any{"type": "number", "number": number, "field": field("b", "nps")},
				map[string]any{"type": "boolean", "boolean": yes, "field": field("c", "yes_no")},
			},
		}})
		if err != nil {
			t.Fatal(err)
		}
		recs, _, err := w.Open(context.Background(), connector.Request{Header: sign(key, body), Body: body})
		if err != nil {
			t.Fatal(err)
		}
		r, err := survey.Parse(recs[0].Body)
		if err != nil || len(r.Answers) != 3 {
			t.Fatal(r, err)
		}
		n, _ := r.Answers[1].Value.(json.Number)
		if got, _ := n.Int64(); r.Answers[0].Value != text || got != int64(number) || r.Answers[2].Value != yes {
			t.Errorf("answers %+v", r.Answers)
		}
		if r.Anonymous != (strings.TrimSpace(text) == "" || strings.TrimSpace(text) == "null") {
			t.Errorf("anonymous %t with %q", r.Anonymous, text)
		}
	})
}

func FuzzOpen(f *testing.F) {
	for _, name := range []string{"form_response.json", "form_response_anonymous.json", "api_responses_page.json"} {
		f.Add(sample(f, name))
	}
	f.Add([]byte(`{"event_type":"form_response","form_response":{"form_id":"f","token":"t","submitted_at":"2026-05-04T08:15:09Z","answers":[{"type":"ranking","ranking":[1],"field":{"id":"x"}},{"type":"choices","choices":null,"field":{"ref":"y"}}]}}`))
	w := hook(f, map[string]string{"webhook": key}, nil)
	a, err := Type.Answers(connector.Account{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		recs, res, err := w.Open(t.Context(), connector.Request{Header: sign(key, body), Body: body})
		if (err == nil) != (len(recs) == 1) {
			t.Errorf("%d records, error %v", len(recs), err)
		}
		if err != nil && (fault.Of(err).Class != fault.Record || res.Status != http.StatusOK) {
			t.Errorf("answered %d, %v", res.Status, err)
		}
		for _, r := range recs {
			if _, err := survey.Parse(r.Body); r.Kind == connector.KindRecord && (err != nil || r.Key == "") {
				t.Errorf("record %+v: %v", r, err)
			}
		}
		recs, err = a.OpenAnswer(body, now)
		if err != nil && (len(recs) > 0 || fault.Of(err).Class != fault.Record) {
			t.Errorf("%d records, error %v", len(recs), err)
		}
		for _, r := range recs {
			if r.Key == "" || r.ID == "" || !json.Valid(r.Body) {
				t.Errorf("record %+v", r)
			}
		}
	})
}
