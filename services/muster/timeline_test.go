package muster

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestTokenStaysPrivate: it is sent neither in clear over a network nor to where
// the console's address sends us on.
func TestTokenStaysPrivate(t *testing.T) {
	var heard []string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { heard = append(heard, r.Header.Get("Authorization")) }))
	defer other.Close()
	console := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer console.Close()
	for address, want := range map[string]string{
		"http://console.acme.example": "write https", "http://192.0.2.7:8081": "write https", "console.acme.example": "write https", "http://": "write https",
		"http://127.0.0.1.acme.example": "write https", console.URL: "answered 307", "http://localhost:1": "does not answer", "https://[::1]:1": "does not answer",
	} {
		var out bytes.Buffer
		env := map[string]string{"MUSTER_CONSOLE_URL": address, "MUSTER_API_TOKEN": "token"}
		code := Run(t.Context(), Env{Args: []string{"timeline", "abc"}, Getenv: func(k string) string { return env[k] }, Stdout: &out, Stderr: &out})
		if code == 0 || !strings.Contains(out.String(), want) {
			t.Errorf("%s: %d %s", address, code, &out)
		}
	}
	if len(heard) > 0 {
		t.Errorf("another address heard %q", heard)
	}
}
