package okta

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/fault"
)

// FuzzClassify: whatever a refusal says, its error tells nothing of it but the
// code, the id of the error and the name of an attribute.
func FuzzClassify(f *testing.F) {
	f.Add(400, "E0000001", "Api validation failed: login", "login: An object with this field already exists", "oae1", "1795425641")
	f.Add(403, "E0000038", "Zofia: no", "", "", "")
	f.Add(429, "E0000047", "", "", "", "-9223372036854775808")
	f.Fuzz(func(t *testing.T, status int, code, summary, cause, id, reset string) {
		body, _ := json.Marshal(map[string]any{
			"errorCode": code, "errorSummary": summary, "errorId": id, "errorCauses": []any{map[string]string{"errorSummary": cause}},
		})
		h := http.Header{}
		h.Set("X-Rate-Limit-Reset", reset)
		h.Set("Date", "Mon, 23 Nov 2026 09:20:01 GMT")
		got := classify(status, h, body, time.Unix(1795425601, 0))
		if got == nil {
			if status >= 300 {
				t.Errorf("%d is a success", status)
			}
			return
		}
		if got.Class == fault.Throttled && got.After < time.Second {
			t.Errorf("waits %s", got.After)
		}
		text := got.Error()
		for _, word := range strings.Fields(summary + " " + cause) {
			known := strings.Contains("profile."+strings.Join(attributes, " ")+" answered Okta's error id redirects followed not are transient throttled record target done", strings.Trim(word, ":"))
			if len(word) > 12 && !known && strings.Contains(text, word) && !strings.Contains(id+code, word) {
				t.Errorf("%q tells %q", text, word)
			}
		}
	})
}

func TestWaitGoesByOktasClock(t *testing.T) {
	ours := time.Unix(2000, 0) // far from theirs
	for name, c := range map[string]struct {
		h    http.Header
		want time.Duration
	}{
		"by their date":      {http.Header{"X-Rate-Limit-Reset": {"1795425641"}, "Date": {"Mon, 23 Nov 2026 09:20:01 GMT"}}, 41 * time.Second},
		"already over":       {http.Header{"X-Rate-Limit-Reset": {"1795425541"}, "Date": {"Mon, 23 Nov 2026 09:20:01 GMT"}}, time.Second},
		"without their date": {http.Header{"X-Rate-Limit-Reset": {"2030"}}, 31 * time.Second},
		"without a reset":    {http.Header{}, 10 * time.Second},
		"by a proxy":         {http.Header{"Retry-After": {"5"}}, 5 * time.Second},
	} {
		if got := untilReset(c.h, ours); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
