package greenhouse

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

// webhook opens the calls of one account.
type webhook struct {
	keys   [][]byte
	events []string
}

func newWebhook(a connector.Account) (connector.Webhook, error) {
	w := webhook{events: a.List("events")}
	for _, name := range []string{"webhook", "webhook_previous"} {
		for line := range strings.Lines(a.Secrets[name].Reveal()) {
			if key := strings.TrimSpace(line); key != "" {
				w.keys = append(w.keys, []byte(key))
			}
		}
	}
	if len(w.keys) == 0 {
		return nil, errors.New("greenhouse: the secret webhook is empty, so no call can be verified")
	}
	if len(w.events) == 0 {
		w.events = defaultEvents
	}
	return w, nil
}

// envelope is the outside of every call. Recruiting names the event in Action;
// Onboarding, another product with the same signature, in EventType.
type envelope struct {
	Action    string  `json:"action"`
	EventType string  `json:"event_type"`
	Payload   payload `json:"payload"`
}

// payload holds the places where a candidate's id is, by data root.
type payload struct {
	Application *struct {
		Candidate *holder `json:"candidate"`
	} `json:"application"`
	Candidate *holder `json:"candidate"`
}

type holder struct {
	ID json.RawMessage `json:"id"`
}

// ok is what Greenhouse counts as delivered: it documents exactly 200. The
// nil body lets ingress answer with the ids of what it stored.
var ok = connector.Response{Status: http.StatusOK}

// Open verifies the signature over the raw body, then tells by `action` what
// the call is. A retry may come 15 hours late and nothing in the body says
// when the event happened, so records have no version.
func (w webhook) Open(_ context.Context, r connector.Request) ([]connector.Record, connector.Response, error) {
	if err := w.verify(r); err != nil {
		return nil, connector.Response{Status: http.StatusUnauthorized}, err
	}
	var e envelope
	if err := json.Unmarshal(r.Body, &e); err != nil {
		// The decoder's own text may quote the body.
		return nil, ok, fault.New(fault.Record, "unreadable", "the body is not the JSON object of a web hook")
	}
	rec := connector.Record{Event: e.Action, ID: eventID(r), Body: slices.Clone(r.Body)}
	switch {
	case e.Action == "ping":
		rec.Kind = connector.KindPing
	case e.Action == "" && e.EventType != "":
		// Greenhouse Onboarding names fields without values; it is not followed.
		rec.Kind, rec.Event = connector.KindIgnored, e.EventType
	case e.Action == "":
		return nil, ok, &fault.Error{Class: fault.Record, Reason: "unreadable", Path: "action", Err: errors.New("the body names no action")}
	case !slices.Contains(w.events, e.Action):
		rec.Kind = connector.KindIgnored
	default:
		key, path := e.Payload.key()
		if key == "" {
			return nil, ok, &fault.Error{Class: fault.Record, Reason: "key", Path: path, Rule: e.Action, Err: errors.New("the candidate has no id")}
		}
		rec.Kind, rec.Key = connector.KindRecord, key
		rec.Partial = e.Payload.Application == nil // a candidate without its application and offer
	}
	return []connector.Record{rec}, ok, nil
}

// key is the candidate's id as text, and the path where it was looked for.
func (p payload) key() (key, path string) {
	if p.Application != nil || p.Candidate == nil {
		if p.Application == nil {
			return "", "payload.application"
		}
		return p.Application.Candidate.text(), "payload.application.candidate.id"
	}
	return p.Candidate.text(), "payload.candidate.id"
}

// text is an id as text: Greenhouse sends whole numbers, which are taken digit
// by digit because 64 bits do not fit into a float. "" if it is anything else.
func (h *holder) text() string {
	if h == nil {
		return ""
	}
	digits := strings.Trim(string(h.ID), `"`)
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return ""
	}
	return digits
}

// eventID is equal for a repeat of the same message. The delivery id is not
// covered by the signature, so it only counts together with the bytes: nobody
// can make us skip a message by sending an old one under its id.
func eventID(r connector.Request) string {
	sum := sha256.Sum256(r.Body)
	id := hex.EncodeToString(sum[:16])
	if given := r.Header.Get("Greenhouse-Event-ID"); given != "" {
		outer := sha256.Sum256([]byte(given + "\x00" + id))
		id = hex.EncodeToString(outer[:16])
	}
	return id
}

// verify checks `Signature: sha256 <hex>`, HMAC-SHA256 of the raw body under
// the secret key as text. The body must not be decoded first: the vendor
// writes some characters as \u003c before it signs.
func (w webhook) verify(r connector.Request) error {
	header := r.Header.Get("Signature")
	if header == "" {
		return connector.Unauthentic{Reason: "missing"}
	}
	algorithm, digest, _ := strings.Cut(header, " ")
	got, err := hex.DecodeString(digest)
	if algorithm != "sha256" || err != nil {
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
