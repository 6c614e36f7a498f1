package fleet

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestReady(t *testing.T) {
	answers := func(code int, body string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/readyz" {
				http.NotFound(w, r)
				return
			}
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	closed := httptest.NewServer(nil)
	closed.Close()
	f := &Fleet{Self: "console", Services: func() map[string]string {
		return map[string]string{
			"ingress":       answers(200, `{"ready":true,"checks":{"nats":"ok"}}`),
			"delivery-okta": answers(503, `{"ready":false,"checks":{"aaa":"ok","nats":"unavailable","okta":"auth"}}`),
			"audit":         answers(503, `{"ready":false}`),
			"poller":        answers(200, `<html>`),
			"transform":     "",
			"sandbox":       closed.URL,
			"lying":         answers(503, `{"ready":true}`),
			"console":       closed.URL, // itself: would ask itself for ever
		}
	}}
	want := map[string]string{
		"ingress": "", "delivery-okta": "nats: unavailable", "audit": "not ready", "poller": "no readiness in the answer",
		"transform": "not started", "sandbox": "no answer", "lying": "not ready",
	}
	got := f.Ready(t.Context())
	if len(got) != len(want) {
		t.Errorf("%d answers, want %d: %v", len(got), len(want), got)
	}
	for name, reason := range want {
		err, asked := got[name]
		if !asked || (err == nil) != (reason == "") || err != nil && err.Error() != reason {
			t.Errorf("%s: %v, want %q", name, err, reason)
		}
	}
	if got := (&Fleet{Services: func() map[string]string { return nil }}).Ready(t.Context()); len(got) != 0 {
		t.Errorf("no services: %v", got)
	}
}

func TestParse(t *testing.T) {
	tests := []struct {
		in   string
		n    int
		fail bool
	}{
		{"", 0, false},
		{`{"ingress":"http://127.0.0.1:8080","audit":"https://audit:443"}`, 2, false},
		{`{}`, 0, false},
		{`[]`, 0, true},
		{`{"ingress":"127.0.0.1:8080"}`, 0, true},
		{`{"ingress":"ftp://x"}`, 0, true},
		{`{"ingress":""}`, 0, true},
	}
	for _, tt := range tests {
		got, err := Parse(tt.in)
		if len(got) != tt.n || (err != nil) != tt.fail {
			t.Errorf("Parse(%q) = %v, %v", tt.in, got, err)
		}
	}
}
