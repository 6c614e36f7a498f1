// Package fake is a Greenhouse with memory: somebody is hired or unhired in
// its screens, and it sends the web hook that the vendor would, signed.
//
// It serves no API, because the connector calls none: every path answers 404.
// Its only setting is email_domain, the domain of the candidates' private
// addresses, default "mail.example".
package fake

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"

	"github.com/muster-hr/muster/libs/connector/fake"
)

// Vendor is the faked account.
type Vendor struct {
	o   fake.Options
	log fake.Log

	mu    sync.Mutex
	next  int64
	hires map[string]hire
}

var _ fake.Vendor = (*Vendor)(nil)

// New makes an empty account.
func New(o fake.Options) fake.Vendor {
	return &Vendor{o: o, next: 59120100, hires: map[string]hire{}}
}

// Log is the memory that the sandbox shows.
func (v *Vendor) Log() *fake.Log { return &v.log }

// ServeHTTP answers 404 in the shape of Harvest.
func (v *Vendor) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusNotFound)
	_, _ = w.Write([]byte(`{"message":"Resource not found"}`))
}

// Do plays the recruiter.
//
//	hire    {"given", "family", "start", "title", "department", "salary", "currency"} → {"id"}
//	unhire  {"id"} → {"id"}
//	ping    {} → {}
//
// hire also takes "preferred", "location", "employment_type", "personal_email" and
// "mobile". With the "id" of somebody known it is a new application of the
// same candidate.
func (v *Vendor) Do(ctx context.Context, verb string, args map[string]any) (map[string]any, error) {
	switch verb {
	case "hire":
		h, err := v.hire(args)
		if err != nil {
			return nil, err
		}
		return map[string]any{"id": h.id()}, v.send(ctx, "hire_candidate", h.hired())
	case "unhire":
		id := fmt.Sprint(args["id"])
		h, err := v.unhire(id)
		if err != nil {
			return nil, err
		}
		return map[string]any{"id": id}, v.send(ctx, "unhire_candidate", h.unhired())
	case "ping":
		return map[string]any{}, v.send(ctx, "ping", map[string]any{"web_hook_id": 81220, "event": "hire_candidate", "disabled": false})
	}
	return nil, fake.ErrUnknownVerb(verb)
}

func (v *Vendor) hire(args map[string]any) (hire, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	h := hire{at: v.o.Time(), args: args}
	for _, need := range []string{"given", "family"} {
		if h.text(need, "") == "" {
			return h, errors.New("hire needs " + need)
		}
	}
	v.next++
	h.application = 7100230000 + v.next
	h.candidate = v.next
	if known, ok := v.hires[h.text("id", "")]; ok {
		h.candidate = known.candidate
	}
	h.domain = v.o.Settings["email_domain"]
	if h.domain == "" {
		h.domain = "mail.example"
	}
	v.hires[h.id()] = h
	v.log.Put(h.id(), h.person("hired"))
	return h, nil
}

func (v *Vendor) unhire(id string) (hire, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	h, ok := v.hires[id]
	if !ok {
		return h, errors.New("unhire: no such candidate")
	}
	h.at = v.o.Time()
	v.log.Put(id, h.person("active"))
	return h, nil
}

// send signs and sends one call. json.Marshal writes "<", ">" and "&" as
// \u003c and so on, as the vendor does.
func (v *Vendor) send(ctx context.Context, action string, payload map[string]any) error {
	body, err := json.Marshal(map[string]any{"action": action, "payload": payload})
	if err != nil {
		return fmt.Errorf("write the body of %s: %w", action, err)
	}
	mac := hmac.New(sha256.New, []byte(v.o.Secret))
	mac.Write(body)
	v.mu.Lock()
	v.next++
	event := strconv.FormatInt(840000000+v.next, 10)
	v.mu.Unlock()
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", "Greenhouse Web Hooks (fake)")
	h.Set("Greenhouse-Event-ID", event)
	h.Set("Signature", "sha256 "+hex.EncodeToString(mac.Sum(nil)))
	v.o.Emit(ctx, fake.Hook{Header: h, Body: body})
	return nil
}
