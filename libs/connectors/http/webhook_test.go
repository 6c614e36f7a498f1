package httpconn

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/secret"
)

var now = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

// bamboo are the settings of a source that signs like BambooHR and sends
// records with a version.
func bamboo() map[string]any {
	return map[string]any{
		"signature.header": "X-BambooHR-Signature", "signature.over": "{body}{ts}",
		"signature.timestamp_header": "X-BambooHR-Timestamp",
		"records":                    "employees[*]", "key": "id", "event": "action", "id": "$.eventId",
		"version.path": "fields.version", "version.scale": "sequence",
	}
}

func source(t testing.TB, key string, settings map[string]any) connector.Webhook {
	t.Helper()
	w, err := Type.Webhook(account(key, settings))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func account(key string, settings map[string]any) connector.Account {
	return connector.Account{Name: "hr", Settings: settings, Secrets: map[string]secret.Value{"webhook": secret.New(key)}}
}

func hexSum(key string, parts ...string) string {
	m := hmac.New(sha256.New, []byte(key))
	for _, p := range parts {
		m.Write([]byte(p))
	}
	return hex.EncodeToString(m.Sum(nil))
}

func headers(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

func signed(key, ts string, body []byte) connector.Request {
	return connector.Request{
		Method: "POST", URL: "/webhooks/hr", Now: now, Body: body,
		Header: headers("X-BambooHR-Timestamp", ts, "X-BambooHR-Signature", hexSum(key, string(body), ts)),
	}
}

func w1(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/w1.json")
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(b)
}

func TestSignedRecordWithVersion(t *testing.T) {
	body := w1(t)
	got, res, err := source(t, "key", bamboo()).Open(t.Context(), signed("key", "1795507200", body))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || res.Status != 0 {
		t.Fatalf("%d records, answer %d", len(got), res.Status)
	}
	if !bytes.Contains(body, got[0].Body) {
		t.Error("the bytes of the record are not those that came")
	}
	got[0].Body = nil
	want := connector.Record{
		Kind: connector.KindRecord, Key: "100117", Event: "Updated", ID: "evt-42/100117",
		Version: connector.Version{Scale: connector.ScaleSequence, Value: "17"},
	}
	if d := cmp.Diff(want, got[0]); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestSignatures of the forms that senders use.
func TestSignatures(t *testing.T) {
	body, ts := `{"id":"1"}`, strconv.FormatInt(now.Unix(), 10)
	sum512 := hmac.New(sha512.New, []byte("key"))
	sum512.Write([]byte(body))
	decodedKey := hmac.New(sha256.New, []byte{1, 2, 3, 4})
	decodedKey.Write([]byte("msg-1." + ts + "." + body))
	for name, c := range map[string]struct {
		key      string
		settings map[string]any
		header   http.Header
	}{
		"hex": {"key", map[string]any{"signature.header": "X-Sig"}, headers("X-Sig", hexSum("key", body))},
		"hex in capitals": {"key", map[string]any{"signature.header": "X-Sig"},
			headers("X-Sig", strings.ToUpper(hexSum("key", body)))},
		"with a prefix": {"key", map[string]any{"signature.header": "X-Sig", "signature.format": "sha256={hex}"},
			headers("X-Sig", "sha256="+hexSum("key", body))},
		"base64 sha512": {"key", map[string]any{"signature.header": "X-Sig", "signature.format": "{b64}", "signature.algorithm": "sha512"},
			headers("X-Sig", base64.StdEncoding.EncodeToString(sum512.Sum(nil)))},
		"time inside": {"key", map[string]any{"signature.header": "X-Sig", "signature.format": "t={ts},v1={hex}", "signature.over": "{ts}.{body}", "signature.max_age": time.Minute},
			headers("X-Sig", "t="+ts+",v1="+hexSum("key", ts, ".", body))},
		"id and time, decoded key": {base64.StdEncoding.EncodeToString([]byte{1, 2, 3, 4}), map[string]any{
			"signature.header": "X-Sig", "signature.format": "v1,{b64url}", "signature.over": "{id}.{ts}.{body}", "signature.key_encoding": "base64",
			"signature.id_header": "X-Id", "signature.timestamp_header": "X-Ts", "signature.max_age": time.Minute},
			headers("X-Sig", "v1,"+base64.RawURLEncoding.EncodeToString(decodedKey.Sum(nil)), "X-Id", "msg-1", "X-Ts", ts)},
	} {
		t.Run(name, func(t *testing.T) {
			w := source(t, c.key, c.settings)
			r := connector.Request{Header: c.header, Body: []byte(body), Now: now}
			if _, _, err := w.Open(t.Context(), r); err != nil {
				t.Fatalf("the right signature: %v", err)
			}
			r.Body = []byte(`{"id":"2"}`)
			refused(t, w, r, "signature")
			r.Body = []byte(body)
			for name := range c.header {
				other := maps.Clone(c.header)
				value := []byte(other.Get(name))
				at := len(value) - 2
				if value[at] == 'A' {
					value[at] = 'B'
				} else {
					value[at] = 'A'
				}
				other[name] = []string{string(value)}
				r.Header = other
				refused(t, w, r, "signature")
				other = maps.Clone(c.header)
				delete(other, name)
				r.Header = other
				refused(t, w, r, "")
			}
		})
	}
}

func refused(t *testing.T, w connector.Webhook, r connector.Request, reason string) {
	t.Helper()
	got, res, err := w.Open(t.Context(), r)
	u, ok := errors.AsType[connector.Unauthentic](err)
	if !ok || len(got) != 0 || res.Status != http.StatusUnauthorized {
		t.Errorf("%d records, answer %d, error %v; want a refusal", len(got), res.Status, err)
	}
	if reason != "" && u.Reason != reason {
		t.Errorf("reason %q, want %q", u.Reason, reason)
	}
}

// TestSecretsAreReplacedWithoutAGap: while two are written, both are good.
func TestSecretsAreReplacedWithoutAGap(t *testing.T) {
	body := w1(t)
	w := source(t, "old\nnew\n", bamboo())
	for _, key := range []string{"old", "new"} {
		if _, _, err := w.Open(t.Context(), signed(key, "1", body)); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	refused(t, w, signed("", "1", body), "signature")
	refused(t, w, signed("old\nnew", "1", body), "signature")
	w = source(t, "old\nnew", map[string]any{"auth": "bearer"})
	for token, ok := range map[string]bool{"old": true, "new": true, "": false, "old\nnew": false} {
		_, _, err := w.Open(t.Context(), connector.Request{Header: headers("Authorization", "Bearer "+token), Body: []byte(`{"id":"1"}`), Now: now})
		if (err == nil) != ok {
			t.Errorf("%q: %v", token, err)
		}
	}
}

func TestOldCallsAreRefused(t *testing.T) {
	settings := bamboo()
	settings["signature.max_age"] = 5 * time.Minute
	w := source(t, "key", settings)
	body := w1(t)
	for offset, ok := range map[time.Duration]bool{0: true, -4 * time.Minute: true, 4 * time.Minute: true, -6 * time.Minute: false, 6 * time.Minute: false} {
		r := signed("key", strconv.FormatInt(now.Add(offset).Unix(), 10), body)
		if ok {
			if _, _, err := w.Open(t.Context(), r); err != nil {
				t.Errorf("%s: %v", offset, err)
			}
			continue
		}
		refused(t, w, r, "timestamp")
	}
	for _, ts := range []string{"2026-11-24T08:00:30Z", "1795507230000"} {
		if _, _, err := w.Open(t.Context(), signed("key", ts, body)); err != nil {
			t.Errorf("time as %s: %v", ts, err)
		}
	}
	refused(t, w, signed("key", "yesterday", body), "timestamp")
}

func TestCredentials(t *testing.T) {
	for _, c := range []struct {
		settings  map[string]any
		key       string
		good, bad http.Header
	}{
		{map[string]any{"auth": "bearer"}, "token", headers("Authorization", "bearer token"), headers("Authorization", "Bearer Token")},
		{map[string]any{"auth": "basic"}, "u:p", headers("Authorization", "Basic dTpw"), headers("Authorization", "Basic dTpx")},
		{map[string]any{"auth": "header", "auth.header": "X-Hook-Key"}, "k", headers("X-Hook-Key", "k"), headers("X-Hook-Key", "kk")},
	} {
		w := source(t, c.key, c.settings)
		r := connector.Request{Header: c.good, Body: []byte(`{"id":1}`), Now: now}
		got, _, err := w.Open(t.Context(), r)
		if err != nil || got[0].Key != "1" {
			t.Errorf("%v: %v", c.settings, err)
		}
		r.Header = c.bad
		refused(t, w, r, "credential")
		r.Header = http.Header{}
		refused(t, w, r, "missing")
	}
}

// TestSplitting shows what is read from where.
func TestSplitting(t *testing.T) {
	for name, c := range map[string]struct {
		settings map[string]any
		body     string
		want     string // JSON of the records without bodies, or the error
	}{
		"whole message":                {map[string]any{}, `{"id":7,"a":1}`, `[{"Key":"7","ID":"h"}]`},
		"list at the top":              {map[string]any{"id": "=x"}, `[{"id":"1"},{"id":"2"}]`, `[{"Key":"1","ID":"x"},{"Key":"2","ID":"x"}]`},
		"nothing in it":                {map[string]any{"records": "data.people[*]"}, `{"data":{"people":[]}}`, `[]`},
		"key with a dot":               {map[string]any{"key": "a.b[1].c"}, `{"a":{"b":[{"c":"x"},{"c":"y"}]}}`, `[{"Key":"y","ID":"h"}]`},
		"names that look like queries": {map[string]any{"key": "@id", "event": "a*"}, `{"@id":"1","ab":"no","a*":"yes"}`, `[{"Key":"1","Event":"yes","ID":"h"}]`},
		"event of the message":         {map[string]any{"records": "e[*]", "event": "$.type", "id": "header:X-Id"}, `{"type":"moved","e":[{"id":"1"}]}`, `[{"Key":"1","Event":"moved","ID":"m-1/1"}]`},
		"constant event":               {map[string]any{"event": "=moved", "id": "id"}, `{"id":"1"}`, `[{"Key":"1","Event":"moved","ID":"1"}]`},
		"time as version": {map[string]any{"version.path": "at", "version.scale": "time"}, `{"id":"1","at":"2026-11-24T09:00:00.5+01:00"}`,
			`[{"Key":"1","ID":"h","Version":{"scale":"time","value":"2026-11-24T08:00:00.5Z"}}]`},
		"zeros before a sequence": {map[string]any{"version.path": "v"}, `{"id":"1","v":"007"}`, `[{"Key":"1","ID":"h","Version":{"scale":"sequence","value":"7"}}]`},
		"partial":                 {map[string]any{"partial": true}, `{"id":"1"}`, `[{"Key":"1","ID":"h","Partial":true}]`},
		"gone by switch":          {map[string]any{"deleted": "gone"}, `{"id":"1","gone":true}`, `[{"Key":"1","ID":"h","Deleted":true}]`},
		"not gone":                {map[string]any{"deleted": "gone"}, `{"id":"1","gone":false}`, `[{"Key":"1","ID":"h"}]`},
		"gone by word":            {map[string]any{"deleted": "$.type", "deleted.values": []string{"employee.deleted"}}, `{"id":"1","type":"Employee.Deleted"}`, `[{"Key":"1","ID":"h","Deleted":true}]`},
		"no json":                 {map[string]any{}, `{"id":`, `record: json: the message is not JSON`},
		"no records":              {map[string]any{"records": "people"}, `{"id":"1"}`, `record: shape at people (records)`},
		"a record is no object":   {map[string]any{"records": "p"}, `{"p":["x"]}`, `record: shape at p (records)`},
		"no key":                  {map[string]any{}, `{"name":"Zofia"}`, `record: missing at id (key)`},
		"key is an object":        {map[string]any{}, `{"id":{"x":1}}`, `record: missing at id (key)`},
		"no version":              {map[string]any{"version.path": "v"}, `{"id":"1"}`, `record: missing at v (version.path)`},
		"version is no number":    {map[string]any{"version.path": "v"}, `{"id":"1","v":"new"}`, `record: version at v (version.path)`},
		"version below zero":      {map[string]any{"version.path": "v"}, `{"id":"1","v":-1}`, `record: version at v (version.path)`},
	} {
		t.Run(name, func(t *testing.T) {
			c.settings["auth"] = "bearer"
			r := connector.Request{Header: headers("Authorization", "Bearer k", "X-Id", "m-1"), Body: []byte(c.body), Now: now}
			got, _, err := source(t, "k", c.settings).Open(t.Context(), r)
			if err != nil {
				if err.Error() != c.want || fault.Of(err).Class != fault.Record {
					t.Errorf("error %q, want %q", err, c.want)
				}
				return
			}
			var want []connector.Record
			if err := json.Unmarshal([]byte(c.want), &want); err != nil {
				t.Fatalf("want the error %q, got %+v", c.want, got)
			}
			for i := range want {
				want[i].Kind = connector.KindRecord
			}
			for i := range got {
				if !json.Valid(got[i].Body) {
					t.Errorf("body %d is no JSON: %s", i, got[i].Body)
				}
				got[i].Body = nil
				if _, hashed := c.settings["id"]; !hashed && len(got[i].ID) == 32 {
					got[i].ID = "h"
				}
			}
			if len(got) == 0 {
				got = []connector.Record{}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestRepeatsHaveOneID: the hash tells contents apart and repeats equal.
func TestRepeatsHaveOneID(t *testing.T) {
	w := source(t, "k", map[string]any{"auth": "bearer"})
	id := func(body string) string {
		got, _, err := w.Open(t.Context(), connector.Request{Header: headers("Authorization", "Bearer k"), Body: []byte(body), Now: now})
		if err != nil {
			t.Fatal(err)
		}
		return got[0].ID
	}
	once, again, other := id(`{"id":1}`), id(`{"id":1}`), id(`{"id":1,"a":2}`)
	if once != again || once == other {
		t.Error("the id does not follow the content")
	}
}

// Where the whole call is the record its bytes are kept as they came, but for
// what stands before it; the id that stands for them follows from that.
func TestAWholeCallIsKeptAsItCame(t *testing.T) {
	w := source(t, "key", map[string]any{"signature.header": "X-Sig", "key": "id"})
	sent := []byte("\r\n\t {\"id\": 7 ,\"name\":\"Zofia\"} \n")
	records, _, err := w.Open(t.Context(), connector.Request{Header: headers("X-Sig", hexSum("key", string(sent))), Body: sent, Now: now})
	if err != nil || len(records) != 1 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	kept := sent[4:]
	sum := sha256.Sum256(kept)
	if r := records[0]; r.Key != "7" || !bytes.Equal(r.Body, kept) || r.ID != hex.EncodeToString(sum[:16]) {
		t.Errorf("key %s, id %s, body %q", r.Key, r.ID, r.Body)
	}
}

func TestSettingsThatProveNothingAreRefused(t *testing.T) {
	for _, settings := range []map[string]any{
		{},
		{"signature.header": "X", "signature.over": "{ts}", "signature.timestamp_header": "T"},
		{"signature.header": "X", "signature.over": "{body}{ts}"},
		{"signature.header": "X", "signature.over": "{body}{id}"},
		{"signature.header": "X", "signature.over": "{body}{secret}"},
		{"signature.header": "X", "signature.format": "v1"},
		{"signature.header": "X", "signature.format": "{hex}{b64}"},
		{"signature.header": "X", "signature.format": "{ts}{hex}", "signature.over": "{body}{ts}"},
		{"signature.header": "X", "signature.max_age": time.Minute},
		{"signature.header": "X", "signature.algorithm": "md5"},
		{"signature.header": "X", "signature.key_encoding": "hex"},
		{"auth": "basic"},
		{"auth": "header"},
		{"auth": "bearer", "key": "a..b"},
		{"auth": "bearer", "key": "a[x]"},
		{"auth": "bearer", "records": ".x"},
		{"auth": "bearer", "success_status": 404},
		{"auth": "bearer", "version.scale": "read"},
	} {
		if _, err := Type.Webhook(account("key", settings)); err == nil {
			t.Errorf("%v is taken", settings)
		} else if strings.Contains(err.Error(), `"key"`) {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
	if _, err := Type.Webhook(connector.Account{Settings: bamboo()}); err == nil {
		t.Error("a source without a secret is taken")
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(w1(f), "employees[*]", "fields.version")
	f.Add([]byte(`{"a":[{"id":1,"v":2}]}`), "a", "v")
	f.Add([]byte("[[[[[[{\"id\":\"\\ud800\"}]]]]]]"), "", "x[0]")
	f.Fuzz(func(t *testing.T, body []byte, records, version string) {
		w, err := Type.Webhook(account("key", map[string]any{"signature.header": "X-Sig", "records": records, "version.path": version}))
		if err != nil {
			return
		}
		r := connector.Request{Header: headers("X-Sig", hexSum("key", string(body))), Body: body, Now: now}
		got, _, err := w.Open(t.Context(), r)
		if err != nil && fault.Of(err).Class != fault.Record {
			t.Errorf("an authentic call gives %v", err)
		}
		if err == nil && !json.Valid(body) {
			t.Error("what is no JSON was opened")
		}
		for _, rec := range got {
			if rec.Key == "" || rec.ID == "" || !json.Valid(rec.Body) {
				t.Errorf("record %+v", rec)
			}
		}
		r.Body = append([]byte(nil), append(body, ' ')...)
		if _, _, err := w.Open(t.Context(), r); !errors.Is(err, connector.Unauthentic{Reason: "signature"}) {
			t.Errorf("another body with the same signature: %v", err)
		}
	})
}

// BenchmarkOpen measures the yardstick's body; HMAC is a part of it.
func BenchmarkOpen(b *testing.B) {
	body := w1(b)
	w := source(b, "key", bamboo())
	r := signed("key", "1795507200", body)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := w.Open(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerify is the HMAC alone.
func BenchmarkVerify(b *testing.B) {
	body := w1(b)
	w := source(b, "key", bamboo()).(*webhook)
	r := signed("key", "1795507200", body)
	b.ReportAllocs()
	for b.Loop() {
		if w.verify(r) != "" {
			b.Fatal("refused")
		}
	}
}
