// Package fake is a Typeform account with memory: somebody answers a form, it
// sends the signed webhook that the vendor would, and lists the response in its
// API.
//
// Settings: "token" (the only one accepted; unset: any), "forms" (ids with
// commas; unset: any form is there), "visible_after" (how long a response
// stays out of the API after its webhook, a Go duration), "rate" (calls per
// second; unset: no end).
package fake

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/muster-hr/muster/libs/connector/fake"
)

// defaultForm is answered when nothing else is said.
const defaultForm = "pUlSe26m"

// account is the memory of one account.
type account struct {
	o       fake.Options
	log     fake.Log
	visible time.Duration
	rate    int

	mu        sync.Mutex
	responses []*response // in the order they were processed
	events    int
	second    time.Time
	calls     int
}

type response struct {
	form  string
	token string
	at    time.Time
	body  map[string]any // what webhook and API have in common
	whole map[string]any // with form_id and definition
}

// New makes an account without responses.
func New(o fake.Options) fake.Vendor {
	v := &account{o: o}
	v.visible, _ = time.ParseDuration(o.Settings["visible_after"])
	v.rate, _ = strconv.Atoi(o.Settings["rate"])
	return v
}

// Log is the memory that the sandbox shows: responses by token.
func (v *account) Log() *fake.Log { return &v.log }

// Do plays the respondent.
//
//	answer   {"email", "answers": {ref: value}} → {"id": token}
//	partial  the same, left before the end: not listed, its webhook is another
//
// Both also take "form", "token", "employee_id" and "hidden" (further fields of
// the link). Without e-mail and id nobody knows who answered.
func (v *account) Do(ctx context.Context, verb string, args map[string]any) (map[string]any, error) {
	event := map[string]string{"answer": "form_response", "partial": "form_response_partial"}[verb]
	if event == "" {
		return nil, fake.ErrUnknownVerb(verb)
	}
	v.mu.Lock()
	r, err := v.submit(args)
	if err != nil {
		v.mu.Unlock()
		return nil, err
	}
	if verb == "answer" {
		v.responses = append(v.responses, r)
		v.log.Put(r.token, map[string]any{"form": r.form, "submitted_at": stamp(r.at), "hidden": r.body["hidden"], "answers": r.body["answers"]})
	}
	v.events++
	id := fmt.Sprintf("01JFAKE%019d", v.events)
	v.mu.Unlock()
	return map[string]any{"id": r.token}, v.send(ctx, map[string]any{"event_id": id, "event_type": event, "form_response": r.whole})
}

// send signs the body as it goes out. Without a secret no header is sent.
func (v *account) send(ctx context.Context, event map[string]any) error {
	body, err := json.Marshal(event)
	if err != nil {
		return fmt.Errorf("write the body of the webhook: %w", err)
	}
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", "Typeform Webhooks (fake)")
	if v.o.Secret != "" {
		mac := hmac.New(sha256.New, []byte(v.o.Secret))
		mac.Write(body)
		h.Set("Typeform-Signature", "sha256="+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	v.o.Emit(ctx, fake.Hook{Header: h, Body: body})
	return nil
}

// ServeHTTP is the API: the responses of a form.
func (v *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	say := func(status int, body any) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}
	if v.limited() {
		w.Header().Set("Retry-After", "1")
		say(http.StatusTooManyRequests, problem("TOO_MANY_REQUESTS", "too many requests"))
		return
	}
	token, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if want := v.o.Settings["token"]; !isBearer || token == "" || (want != "" && token != want) {
		say(http.StatusUnauthorized, problem("AUTHENTICATION_FAILED", "Authentication credentials not found on the Request Headers"))
		return
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(parts) != 3 || parts[0] != "forms" || parts[2] != "responses" || r.Method != http.MethodGet {
		say(http.StatusNotFound, problem("NOT_FOUND", "Endpoint not found"))
		return
	}
	if forms := v.o.Settings["forms"]; forms != "" && !slices.Contains(strings.Split(forms, ","), parts[1]) {
		say(http.StatusNotFound, problem("FORM_NOT_FOUND", "Non existing form with uid "+parts[1]))
		return
	}
	page, err := v.list(parts[1], r.URL.Query())
	if err != "" {
		say(http.StatusBadRequest, problem("BAD_REQUEST", err))
		return
	}
	say(http.StatusOK, page)
}

func problem(code, text string) map[string]any {
	return map[string]any{"code": code, "description": text}
}

// limited counts the calls of a second.
func (v *account) limited() bool {
	now := v.o.Time().Truncate(time.Second)
	if !now.Equal(v.second) {
		v.second, v.calls = now, 0
	}
	v.calls++
	return v.rate > 0 && v.calls > v.rate
}

// list is a page: newest first, from since to until, or after or before a token
// in the order of processing.
func (v *account) list(form string, q map[string][]string) (map[string]any, string) {
	get := func(name string) string {
		if len(q[name]) == 0 {
			return ""
		}
		return q[name][0]
	}
	size := 25
	if s := get("page_size"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 1000 {
			return nil, "page_size"
		}
		size = n
	}
	since, until := time.Time{}, time.Time{}
	for name, into := range map[string]*time.Time{"since": &since, "until": &until} {
		if s := get(name); s != "" {
			t, ok := moment(s)
			if !ok {
				return nil, name
			}
			*into = t
		}
	}
	var hits []*response
	before, after := get("before"), get("after")
	place := func(token string) int {
		return slices.IndexFunc(v.responses, func(r *response) bool { return r.token == token })
	}
	for i, r := range v.responses {
		switch {
		case r.form != form, v.o.Time().Sub(r.at) < v.visible:
		case !since.IsZero() && r.at.Before(since), !until.IsZero() && r.at.After(until):
		case before != "" && i >= place(before), after != "" && i <= place(after):
		default:
			hits = append(hits, r)
		}
	}
	total := len(hits)
	if after == "" {
		slices.Reverse(hits)
	}
	items := []any{}
	for _, r := range hits[:min(size, total)] {
		items = append(items, r.listed())
	}
	return map[string]any{"total_items": total, "page_count": (total + size - 1) / size, "items": items}, ""
}

// moment is seconds or an ISO time.
func moment(s string) (time.Time, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(n, 0).UTC(), true
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
