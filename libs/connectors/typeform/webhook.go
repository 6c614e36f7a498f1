package typeform

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

// eventResponse is the event that we follow. form_response_partial, which is
// sent for unfinished sheets where a form says so, must never become answers.
const eventResponse = "form_response"

// webhook opens the calls of one account.
type webhook struct {
	keys [][]byte
	reader
}

func newWebhook(a connector.Account) (connector.Webhook, error) {
	r, err := newReader(a)
	if err != nil {
		return nil, err
	}
	w := webhook{reader: r}
	for _, name := range []string{"webhook", "webhook_previous"} {
		for line := range strings.Lines(a.Secrets[name].Reveal()) {
			if key := strings.TrimSpace(line); key != "" {
				w.keys = append(w.keys, []byte(key))
			}
		}
	}
	if len(w.keys) == 0 {
		return nil, errors.New("typeform: the secret webhook is empty, so no call can be verified")
	}
	return w, nil
}

// envelope is the outside of every call.
type envelope struct {
	EventType string `json:"event_type"`
	Response  *sheet `json:"form_response"`
}

// ok is any 2xx. Typeform switches a webhook off for 404 and 410, so these are
// never answered.
var ok = connector.Response{Status: http.StatusOK}

// Open verifies the signature over the raw body, then reads the response.
func (w webhook) Open(_ context.Context, r connector.Request) ([]connector.Record, connector.Response, error) {
	if err := w.verify(r); err != nil {
		return nil, connector.Response{Status: http.StatusUnauthorized}, err
	}
	var e envelope
	if err := json.Unmarshal(r.Body, &e); err != nil {
		// The decoder's own text may quote the body.
		return nil, ok, unreadable("", "the body is not the JSON object of a webhook")
	}
	switch {
	case e.EventType == "":
		return nil, ok, unreadable("event_type", "the body names no event")
	case e.EventType != eventResponse:
		return []connector.Record{{Kind: connector.KindIgnored, Event: e.EventType, ID: hash(string(r.Body)), Body: json.RawMessage(`{}`)}}, ok, nil
	case e.Response == nil:
		return nil, ok, unreadable("form_response", "the event has no response")
	case e.Response.FormID == "":
		return nil, ok, unreadable("form_response.form_id", "the response names no form")
	}
	rec, err := w.record(*e.Response, "form_response.")
	if err != nil {
		return nil, ok, err
	}
	return []connector.Record{rec}, ok, nil
}

// verify checks `Typeform-Signature: sha256=<base64>`, HMAC-SHA256 of the raw
// body under the secret as text. No time is signed: a call that is sent again
// is the same response, which is taken once.
func (w webhook) verify(r connector.Request) error {
	header := r.Header.Get("Typeform-Signature")
	if header == "" {
		return connector.Unauthentic{Reason: "missing"}
	}
	digest, isSHA := strings.CutPrefix(header, "sha256=")
	got, err := base64.StdEncoding.Strict().DecodeString(digest)
	if !isSHA || err != nil {
		return connector.Unauthentic{Reason: "signature"}
	}
	for _, key := range w.keys {
		mac := hmac.New(sha256.New, key)
		mac.Write(r.Body)
		if hmac.Equal(got, mac.Sum(nil)) {
			return nil
		}
	}
	return connector.Unauthentic{Reason: "signature"}
}

func unreadable(path, text string) error {
	return &fault.Error{Class: fault.Record, Reason: "unreadable", Path: path, Err: errors.New(text)}
}
