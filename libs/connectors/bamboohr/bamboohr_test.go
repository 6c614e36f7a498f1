package bamboohr

import (
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

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connector/sourcetest"
	"github.com/muster-hr/muster/libs/secret"
)

const hookKey = "0f3d7be1c9aa4e529b1c0f7d2f5ab1e8"

var now = time.Date(2026, 3, 2, 9, 15, 27, 0, time.UTC)

func sample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "vendor", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// account is a configured account whose calls reach the remote.
func account(remote http.RoundTripper, settings map[string]any) connector.Account {
	return connector.Account{
		Name: "bamboohr", BaseURL: "https://northlight.bamboohr.com", Settings: settings, Transport: remote,
		Now: func() time.Time { return now },
		Secrets: map[string]secret.Value{
			"webhook": secret.New(hookKey), "api_key": secret.New("k"),
		},
	}
}

func vendor(settings map[string]string, hooks ...func(fake.Hook)) fake.Vendor {
	return Type.Fake(fake.Options{
		Now: func() time.Time { return now }, Secret: hookKey, Settings: settings,
		Send: func(_ context.Context, h fake.Hook) {
			for _, f := range hooks {
				f(h)
			}
		},
	})
}

func do(t testing.TB, v fake.Vendor, verb string, args map[string]any) string {
	t.Helper()
	out, err := v.Do(context.Background(), verb, args)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := out["id"].(string)
	return id
}

func signed(contentType string, body []byte) http.Header {
	const stamp = "1772442927"
	mac := hmac.New(sha256.New, []byte(hookKey))
	mac.Write(body)
	mac.Write([]byte(stamp))
	h := http.Header{}
	h.Set("Content-Type", contentType)
	h.Set("X-BambooHR-Timestamp", stamp)
	h.Set("X-BambooHR-Signature", hex.EncodeToString(mac.Sum(nil)))
	return h
}

func decode(t testing.TB, raw []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func remote(v http.Handler) *sourcetest.Remote { return &sourcetest.Remote{Handler: v} }

func TestSettingsAreChecked(t *testing.T) {
	many := make([]string, 401)
	for name, a := range map[string]connector.Account{
		"no base URL": {Secrets: map[string]secret.Value{"api_key": secret.New("k")}},
		"no key":      {BaseURL: "https://x.bamboohr.com"},
		"401 fields":  account(nil, map[string]any{"fields": many}),
	} {
		if _, err := Type.Reader(a); err == nil {
			t.Errorf("%s: a reader was made", name)
		}
	}
	if _, err := Type.Webhook(connector.Account{}); err == nil {
		t.Error("a webhook without a key was made")
	}
}

// Behind the older gateway the company is in the path and the version follows it.
func TestGatewayAddress(t *testing.T) {
	v := vendor(nil)
	id := do(t, v, "hire", map[string]any{"given": "A", "family": "B"})
	a := account(remote(v), nil)
	a.BaseURL = "https://api.bamboohr.com/api/gateway.php/northlight"
	r, err := Type.Reader(a)
	if err != nil {
		t.Fatal(err)
	}
	if rec, err := r.Read(t.Context(), id); err != nil || rec.Deleted {
		t.Errorf("deleted %v, %v", rec.Deleted, err)
	}
}

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		settings map[string]string
		reason   string
	}{
		"well":      {nil, "ok"},
		"wrong key": {map[string]string{"api_key": "other"}, "auth"},
		"limited":   {map[string]string{"rate_per_minute": "0"}, "rate_limited"},
	} {
		check, err := Type.Check(account(remote(vendor(c.settings)), nil))
		if err != nil {
			t.Fatal(err)
		}
		if got := faultReason(check.Check(t.Context())); got != c.reason {
			t.Errorf("%s: %s, want %s", name, got, c.reason)
		}
	}
	check, err := Type.Check(account(&sourcetest.Remote{Answer: sourcetest.Says(200, `{"hello":1}`)}, nil))
	if err != nil {
		t.Fatal(err)
	}
	if got := faultReason(check.Check(t.Context())); got != "answer" {
		t.Errorf("another program answers: %s", got)
	}
}
