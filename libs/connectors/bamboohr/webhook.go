package bamboohr

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/secret"
)

// webhook opens the calls of one account: every webhook registered there, of
// whatever kind and format, may point to the same address.
type webhook struct {
	keys   [][]byte
	maxAge time.Duration
}

func newWebhook(a connector.Account) (connector.Webhook, error) {
	w := webhook{maxAge: a.Duration("max_age"), keys: keys(a.Secrets["webhook"], a.Secrets["webhook_previous"])}
	if len(w.keys) == 0 {
		return nil, errors.New("bamboohr: the secret webhook is not set, so no call can be verified")
	}
	return w, nil
}

func keys(secrets ...secret.Value) (list [][]byte) {
	for _, s := range secrets {
		for line := range strings.Lines(s.Reveal()) {
			if k := strings.TrimSpace(line); k != "" {
				list = append(list, []byte(k))
			}
		}
	}
	return list
}

// Open verifies the call and splits it into hints and partial records. Any 2xx
// is a success for the vendor; a 4xx is never tried again, so it is only given
// to calls that are not the vendor's.
func (w webhook) Open(_ context.Context, r connector.Request) ([]connector.Record, connector.Response, error) {
	if err := w.verify(r); err != nil {
		return nil, connector.Response{Status: http.StatusUnauthorized}, err
	}
	recs, err := open(r)
	return recs, connector.Response{Status: http.StatusOK}, err
}

// verify checks X-BambooHR-Signature: lower-case hex of HMAC-SHA256 over the
// raw body, directly followed by the text of X-BambooHR-Timestamp.
func (w webhook) verify(r connector.Request) error {
	stamp, signature := r.Header.Get("X-BambooHR-Timestamp"), r.Header.Get("X-BambooHR-Signature")
	if stamp == "" || signature == "" {
		return connector.Unauthentic{Reason: "missing"}
	}
	got, err := hex.DecodeString(signature)
	if err != nil || !w.signed(got, r.Body, stamp) {
		return connector.Unauthentic{Reason: "signature"}
	}
	if w.maxAge > 0 {
		at, ok := stampTime(stamp)
		if !ok || r.Now.Sub(at).Abs() > w.maxAge {
			return connector.Unauthentic{Reason: "timestamp"}
		}
	}
	return nil
}

func (w webhook) signed(got, body []byte, stamp string) bool {
	for _, key := range w.keys {
		mac := hmac.New(sha256.New, key)
		mac.Write(body)
		mac.Write([]byte(stamp))
		if hmac.Equal(got, mac.Sum(nil)) {
			return true
		}
	}
	return false
}

// stampTime reads the timestamp header: Unix seconds in recorded traffic, an
// ISO time in other descriptions.
func stampTime(s string) (time.Time, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(n, 0), true
	}
	return instant(s)
}
