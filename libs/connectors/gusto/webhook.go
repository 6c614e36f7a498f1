package gusto

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

var defaultEvents = []string{"employee.*"}

// webhook opens the calls of one subscription.
type webhook struct {
	tokens  []string
	events  []string
	company string
	file    string // takes the handshake's token while there is none
	dry     bool   // and is not written
	log     *slog.Logger
}

func newWebhook(a connector.Account) (connector.Webhook, error) {
	w := webhook{events: a.List("events"), company: a.Text("company"), file: a.Text("verification_token_file"), dry: a.Dry, log: cmp.Or(a.Log, slog.New(slog.DiscardHandler))}
	for _, name := range []string{"webhook", "webhook_previous"} {
		for line := range strings.Lines(a.Secrets[name].Reveal()) {
			if token := strings.TrimSpace(line); token != "" {
				w.tokens = append(w.tokens, token)
			}
		}
	}
	if len(w.tokens) == 0 && w.file == "" {
		return nil, errors.New("gusto: the secret webhook is empty, so no call can be verified; to set a webhook up, name a verification_token_file first")
	}
	if len(w.events) == 0 {
		w.events = defaultEvents
	}
	return w, nil
}

// ok is what Gusto counts as delivered; the nil body lets ingress answer with
// the ids of what it stored.
var ok = connector.Response{Status: http.StatusOK}

// message is one event: it names an object and says nothing of it.
type message struct {
	UUID         string      `json:"uuid"`
	Event        string      `json:"event_type"`
	Company      string      `json:"resource_uuid"`
	Entity       string      `json:"entity_type"`
	EntityUUID   string      `json:"entity_uuid"`
	Timestamp    json.Number `json:"timestamp"`
	Token        string      `json:"verification_token"`
	Subscription string      `json:"webhook_subscription_uuid"`
}

// Open verifies the signature over the raw body. There is no time in what is
// signed, so a call may be sent again by anybody who saw it; the event's UUID
// makes it a repeat, which changes nothing.
//
// The handshake comes unsigned, since it brings the key. It is believed only
// if it brings a token that we have; see [webhook.handshake].
func (w webhook) Open(ctx context.Context, r connector.Request) ([]connector.Record, connector.Response, error) {
	if r.Header.Get("X-Gusto-Signature") == "" {
		if rec, ok := w.handshake(ctx, r.Body); ok {
			return []connector.Record{rec}, connector.Response{Status: http.StatusOK}, nil
		}
		return nil, connector.Response{Status: http.StatusUnauthorized}, connector.Unauthentic{Reason: "missing"}
	}
	if !w.signed(ctx, r) {
		return nil, connector.Response{Status: http.StatusUnauthorized}, connector.Unauthentic{Reason: "signature"}
	}
	rec, err := w.record(r.Body)
	if err != nil {
		return nil, ok, err
	}
	return []connector.Record{rec}, ok, nil
}

// record reads an authentic body.
func (w webhook) record(body []byte) (connector.Record, error) {
	unreadable := func(path, text string) error {
		// The decoder's own text may quote the body.
		return &fault.Error{Class: fault.Record, Reason: "unreadable", Path: path, Err: errors.New(text)}
	}
	var m message
	if json.Unmarshal(body, &m) != nil {
		return connector.Record{}, unreadable("", "the body is not the JSON object of an event")
	}
	rec := connector.Record{Event: m.Event, ID: m.UUID, Body: slices.Clone(body)}
	if m.Token != "" && m.Event == "" {
		return verification(body), nil
	}
	switch {
	case m.Event == "":
		return rec, unreadable("event_type", "the body names no event")
	case !uuidForm.MatchString(m.UUID):
		return rec, unreadable("uuid", "the event has no UUID")
	case !w.follows(m.Event) || m.Entity != "Employee" || w.company != "" && m.Company != w.company:
		rec.Kind = connector.KindIgnored // another company's, where a subscription serves several
		return rec, nil
	case !uuidForm.MatchString(m.EntityUUID):
		return rec, unreadable("entity_uuid", "the employee has no UUID")
	}
	seconds, err := m.Timestamp.Int64()
	if m.Timestamp != "" && (err != nil || seconds < 0 || seconds > maxSeconds) {
		return rec, unreadable("timestamp", "the time is not a number of seconds")
	}
	rec.Kind, rec.Key = connector.KindHint, m.EntityUUID
	if m.Timestamp != "" {
		rec.Version = connector.Version{Scale: connector.ScaleTime, Value: time.Unix(seconds, 0).UTC().Format(time.RFC3339)}
	}
	return rec, nil
}

const maxSeconds = 253402300799 // the end of the year 9999

func (w webhook) follows(event string) bool {
	return slices.ContainsFunc(w.events, func(pattern string) bool {
		prefix, any := strings.CutSuffix(pattern, "*")
		return event == pattern || any && strings.HasPrefix(event, prefix)
	})
}

// signed checks lower-case hex of HMAC-SHA256, key the verification token as
// text. Base64 of the same is taken too: one receiver in public expects it.
func (w webhook) signed(ctx context.Context, r connector.Request) bool {
	header := r.Header.Get("X-Gusto-Signature")
	got, err := hex.DecodeString(header)
	if err != nil {
		if got, err = base64.StdEncoding.DecodeString(header); err != nil {
			return false
		}
	}
	for _, token := range w.tokens {
		mac := hmac.New(sha256.New, []byte(token))
		mac.Write(r.Body)
		if hmac.Equal(got, mac.Sum(nil)) {
			if len(header) != 2*sha256.Size {
				w.log.InfoContext(ctx, "gusto signs its calls in base64")
			}
			return true
		}
	}
	return false
}

var tokenForm = regexp.MustCompile(`^[0-9A-Za-z_-]{8,256}$`)

// handshake answers the call that brings the verification token. One that we
// have is a ping. Without any, and where a file is named, an unknown one is
// written there for the person who sets the webhook up: verifying with a wrong
// one fails at Gusto, and it can be asked for again.
func (w webhook) handshake(ctx context.Context, body []byte) (connector.Record, bool) {
	var m message
	if json.Unmarshal(body, &m) != nil || !tokenForm.MatchString(m.Token) || !uuidForm.MatchString(m.Subscription) || m.Event != "" {
		return connector.Record{}, false
	}
	known := slices.ContainsFunc(w.tokens, func(t string) bool { return subtle.ConstantTimeCompare([]byte(t), []byte(m.Token)) == 1 })
	if !known {
		if len(w.tokens) > 0 || w.file == "" {
			return connector.Record{}, false
		}
		if w.dry {
			return verification(body), true
		}
		if err := writePrivate(w.file, []byte(m.Token+"\n")); err != nil {
			w.log.ErrorContext(ctx, "the verification token of a webhook could not be written", "err", err)
			return connector.Record{}, false
		}
		w.log.WarnContext(ctx, "a webhook of Gusto waits to be verified: the token is in the verification_token_file", "subscription", m.Subscription)
	}
	return verification(body), true
}

// verification hands nothing of the token on.
func verification(body []byte) connector.Record {
	return connector.Record{Kind: connector.KindPing, Event: "verification", ID: hash(body), Body: json.RawMessage(`{}`)}
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}
