package bamboohr

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/sourcetest"
	"github.com/muster-hr/muster/libs/fault"
)

const formType = "application/x-www-form-urlencoded"

func faultReason(err error) string { return fault.Reason(err) }

func hook(t testing.TB, settings map[string]any) connector.Webhook {
	t.Helper()
	w, err := Type.Webhook(account(nil, settings))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestWebhookPromises(t *testing.T) {
	for name, c := range map[string]struct {
		kind   string
		keys   []string
		intact bool
	}{
		"webhook-employee-created.json":        {"application/json", []string{"4131"}, true},
		"webhook-employee-updated.json":        {"application/json", []string{"4117"}, true},
		"webhook-employee-deleted.json":        {"application/json", []string{"4002"}, true},
		"webhook-field-based.json":             {"application/json", []string{"4117", "4131"}, false},
		"webhook-field-based-legacy.json":      {"application/json", []string{"4117"}, false},
		"webhook-form-encoded-event-based.txt": {formType, []string{"4117"}, false},
		"webhook-form-encoded-field-based.txt": {formType, []string{"4117"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			garbled := []byte(nil)
			if c.kind == formType {
				garbled = []byte("employees[4117][action]=%zz")
			}
			sourcetest.RunWebhook(t, sourcetest.Webhook{
				Open:    func(t *testing.T) connector.Webhook { return hook(t, nil) },
				Sign:    func(body []byte) http.Header { return signed(c.kind, body) },
				Record:  bytes.TrimSpace(sample(t, name)),
				Keys:    c.keys,
				Unknown: []byte(`{"type":"company.updated","timestamp":"2026-03-02T09:15:27+0000","data":{"companyId":"58231"}}`),
				Garbled: garbled,
				Success: http.StatusOK,
				Intact:  c.intact,
				Now:     now,
			})
		})
	}
}

func TestSignatureVector(t *testing.T) {
	var v struct {
		Secret, Body string
		Headers      map[string]string
	}
	if err := json.Unmarshal(sample(t, "webhook-signature-vector.json"), &v); err != nil {
		t.Fatal(err)
	}
	if v.Secret != hookKey {
		t.Fatal("the vector has another key than the account")
	}
	h := http.Header{}
	for name, value := range v.Headers {
		h.Set(name, value)
	}
	recs, res, err := hook(t, nil).Open(t.Context(), connector.Request{Header: h, Body: []byte(v.Body)})
	if err != nil || res.Status != 200 || len(recs) != 1 || recs[0].Key != "4117" || recs[0].Kind != connector.KindHint {
		t.Errorf("%+v %+v %v", recs, res, err)
	}
	h.Set("X-BambooHR-Timestamp", "1772442928") // it is covered by the signature
	if _, _, err := hook(t, nil).Open(t.Context(), connector.Request{Header: h, Body: []byte(v.Body)}); err == nil {
		t.Error("another timestamp was accepted")
	}
}

func TestMaxAge(t *testing.T) {
	body := sample(t, "webhook-employee-updated.json")
	sent := time.Unix(1772442927, 0)
	for _, c := range []struct {
		max, age time.Duration
		ok       bool
	}{
		{0, 100 * time.Hour, true}, // off: a retry may come hours later
		{time.Hour, 59 * time.Minute, true},
		{time.Hour, 61 * time.Minute, false},
		{time.Hour, -61 * time.Minute, false},
	} {
		w := hook(t, map[string]any{"max_age": c.max})
		_, res, err := w.Open(t.Context(), connector.Request{Header: signed("application/json", body), Body: body, Now: sent.Add(c.age)})
		if (err == nil) != c.ok || (!c.ok && res.Status != 401) {
			t.Errorf("max %s, age %s: %d %v", c.max, c.age, res.Status, err)
		}
	}
}

func TestFieldBased(t *testing.T) {
	for name, want := range map[string][]struct {
		event, body string
		kind        connector.Kind
		version     string
	}{
		"webhook-field-based.json": {
			{"employee.updated", `{"Employee #":"0417","First Name":"Siobhán","Job Title":"Senior Actuary","Last Name":"O'Dwyer","Work Email":"siobhan.odwyer@northlight.example","id":"4117"}`, connector.KindRecord, "2026-03-02T09:15:27Z"},
			{"employee.created", `{"id":"4131"}`, connector.KindHint, "2026-03-02T09:15:27Z"},
		},
		"webhook-field-based-legacy.json": {
			{"employee.updated", `{"Employee #":"0417","First name":"Siobhán","Last name":"O'Dwyer","id":"4117"}`, connector.KindRecord, ""},
		},
		"webhook-form-encoded-field-based.txt": {
			{"employee.updated", `{"First Name":"Siobhán","id":"4117"}`, connector.KindRecord, "2026-03-02T09:15:27Z"},
		},
	} {
		kind := "application/json"
		if name == "webhook-form-encoded-field-based.txt" {
			kind = formType
		}
		body := bytes.TrimSpace(sample(t, name))
		recs, _, err := hook(t, nil).Open(t.Context(), connector.Request{Header: signed(kind, body), Body: body})
		if err != nil || len(recs) != len(want) {
			t.Fatalf("%s: %d records, %v", name, len(recs), err)
		}
		for i, w := range want {
			r := recs[i]
			if r.Event != w.event || string(r.Body) != w.body || r.Kind != w.kind || r.Version.Value != w.version || r.Partial != (w.kind == connector.KindRecord) {
				t.Errorf("%s: %+v\nbody %s\nwant %s", name, r, r.Body, w.body)
			}
		}
	}
}

// The older form has no time in its body: a name changed, changed back and
// changed again must not look like a repeat of the first.
func TestLegacyBodySentTwiceAtOtherTimes(t *testing.T) {
	body := sample(t, "webhook-field-based-legacy.json")
	a, err := open(connector.Request{Header: http.Header{"X-Bamboohr-Timestamp": {"1"}}, Body: body})
	if err != nil {
		t.Fatal(err)
	}
	b, err := open(connector.Request{Header: http.Header{"X-Bamboohr-Timestamp": {"2"}}, Body: body})
	if err != nil {
		t.Fatal(err)
	}
	if a[0].ID == b[0].ID {
		t.Error("two changes with equal bytes share an id")
	}
}

func TestRefusedBodies(t *testing.T) {
	for _, c := range []struct{ kind, body, path string }{
		{"application/json", `{"employees":[{"fields":{}}]}`, "employees[0].id"},
		{"application/json", `{"employees":[{"id":"1"},{"id":"0","fields":[]}]}`, "employees[1].id"},
		{"application/json", `{"employees":[{"id":"1","fields":["x"]}]}`, "employees[0].fields"},
		{"application/json", `{"employees":[{"id":"1","fields":"x"}]}`, "employees[0].fields"},
		{"application/json", `{"type":"employee.updated","data":{"employeeId":"Siobhan"}}`, "data.employeeId"},
		{"application/json", `{"data":{}}`, "type"},
		{formType, `employees=1`, ""},
		{formType, `employees[1=x`, ""},
		{formType, `employees[1]x=y`, ""},
		{formType, `a=1&a[b]=2&type=employee.updated`, ""},
		{formType, `a[1][2][3][4][5][6][7][8][9]=x`, ""},
		{formType, `[a]=x`, ""},
		{formType, `type=employee.updated&data=x`, ""},
	} {
		recs, res, err := hook(t, nil).Open(t.Context(), connector.Request{Header: signed(c.kind, []byte(c.body)), Body: []byte(c.body)})
		f := fault.Of(err)
		if f == nil || f.Class != fault.Record || f.Reason != "unreadable" || f.Path != c.path || len(recs) != 0 {
			t.Errorf("%s: %d records, error %v", c.body, len(recs), err)
		}
		if res.Status != 200 {
			t.Errorf("%s: answered %d; the vendor gives up on a 4xx, and the body is kept as a dead letter", c.body, res.Status)
		}
		if err != nil && bytes.Contains([]byte(err.Error()), []byte("Siobhan")) {
			t.Errorf("%s: the error quotes the body", c.body)
		}
	}
}

// A form says what the JSON of the same message says, whatever the values.
func TestFormEqualsJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		label := rapid.StringMatching(`[A-Za-z#&=%+ é/.]{1,12}`)
		fields := rapid.MapOfN(label, rapid.String(), 1, 5).Draw(t, "fields")
		form := url.Values{}
		for name, v := range fields {
			form.Set("employees[17][fields]["+name+"]", v)
		}
		form.Set("employees[17][id]", "17")
		form.Set("employees[17][action]", "Updated")
		asJSON, err := json.Marshal(map[string]any{"employees": []any{map[string]any{"id": "17", "action": "Updated", "fields": fields}}})
		if err != nil {
			t.Fatal(err)
		}
		a, errA := open(connector.Request{Header: signed(formType, nil), Body: []byte(form.Encode())})
		b, errB := open(connector.Request{Header: signed("application/json", nil), Body: asJSON})
		if errA != nil || errB != nil {
			t.Fatalf("form %v, JSON %v", errA, errB)
		}
		if string(a[0].Body) != string(b[0].Body) || a[0].Key != b[0].Key || a[0].Event != b[0].Event {
			t.Fatalf("form %s\nJSON %s", a[0].Body, b[0].Body)
		}
	})
}

func FuzzOpen(f *testing.F) {
	for name, form := range map[string]bool{
		"webhook-employee-created.json": false, "webhook-field-based.json": false, "webhook-field-based-legacy.json": false,
		"webhook-form-encoded-event-based.txt": true, "webhook-form-encoded-field-based.txt": true,
	} {
		f.Add(sample(f, name), form)
	}
	f.Add([]byte("employees[1][fields][][]=a&employees[1][fields][][]=b"), true)
	f.Add([]byte("employees[][id]=1&employees[][id]=2"), true)
	w := hook(f, nil)
	f.Fuzz(func(t *testing.T, body []byte, form bool) {
		kind := "application/json"
		if form {
			kind = formType
		}
		recs, res, err := w.Open(t.Context(), connector.Request{Header: signed(kind, body), Body: body})
		if (err == nil) != (len(recs) > 0) || res.Status != 200 {
			t.Errorf("%d records, status %d, error %v", len(recs), res.Status, err)
		}
		if err != nil && fault.Of(err).Class != fault.Record {
			t.Errorf("error %v", err)
		}
		for _, r := range recs {
			if !json.Valid(r.Body) || r.ID == "" || (r.Kind != connector.KindIgnored) != isID(r.Key) {
				t.Errorf("record %+v", r)
			}
		}
	})
}
