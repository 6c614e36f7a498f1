package fake

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/muster-hr/muster/libs/connector/fake"
)

// event is one thing that happened. A call can cause several.
type event struct{ kind, entity, id string }

// subscription is a webhook; its token signs every call.
type subscription struct {
	object
	verified bool
}

// emit sends events, in order, outside the lock: the receiver may call.
func (v *Vendor) emit(ctx context.Context, events []event) {
	for _, e := range events {
		if e.kind == handshake {
			body, _ := json.Marshal(object{"verification_token": v.o.Secret, "webhook_subscription_uuid": e.id})
			v.o.Emit(ctx, fake.Hook{Header: http.Header{"Content-Type": {"application/json"}}, Body: body})
			continue
		}
		v.mu.Lock()
		id := v.uuid()
		v.mu.Unlock()
		company := v.o.Settings["company"]
		body, _ := json.Marshal(object{ // texts and a number
			"uuid": id, "event_type": e.kind, "resource_type": "Company", "resource_uuid": company,
			"entity_type": e.entity, "entity_uuid": e.id, "timestamp": v.o.Time().Unix(),
		})
		v.o.Emit(ctx, fake.Hook{Header: Sign(v.o.Secret, body), Body: body})
	}
}

// Sign is the header of a call: lower-case hex of HMAC-SHA256 over the raw
// body, the key being the verification token.
func Sign(token string, body []byte) http.Header {
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write(body)
	h := http.Header{"Content-Type": {"application/json"}}
	h.Set("X-Gusto-Signature", hex.EncodeToString(mac.Sum(nil)))
	return h
}

// handshake stands for the call that brings the token.
const handshake = "handshake"

func (v *Vendor) listHooks(*request) answer {
	out := []any{}
	for _, s := range v.hooks {
		out = append(out, s.object)
	}
	return answer{status: http.StatusOK, body: out}
}

// subscribe makes a subscription that waits for its verification.
func (v *Vendor) subscribe(q *request) answer {
	url := q.text("url")
	if !strings.HasPrefix(url, "https://") || strings.Contains(url, "localhost") {
		return invalid(problem("invalid_attribute_value", "url", "URL must be publicly routable"))
	}
	s := &subscription{object: object{"uuid": v.uuid(), "url": url, "status": "pending", "subscription_types": q.body["subscription_types"]}}
	v.hooks = append(v.hooks, s)
	id, _ := s.object["uuid"].(string)
	v.events = append(v.events, event{kind: handshake, id: id})
	return answer{status: http.StatusCreated, body: s.object}
}

func (v *Vendor) hook(id string) *subscription {
	for _, s := range v.hooks {
		if s.object["uuid"] == id {
			return s
		}
	}
	return nil
}

func (v *Vendor) verify(q *request) answer {
	s := v.hook(q.PathValue("hook"))
	switch {
	case s == nil:
		return notFound()
	case q.text("verification_token") != v.o.Secret:
		return invalid(problem("invalid_attribute_value", "verification_token", "Verification token is invalid"))
	}
	s.verified, s.object["status"] = true, "verified"
	return answer{status: http.StatusOK, body: s.object}
}

func (v *Vendor) tellToken(q *request) answer {
	if v.hook(q.PathValue("hook")) == nil {
		return notFound()
	}
	v.events = append(v.events, event{kind: handshake, id: q.PathValue("hook")})
	return answer{status: http.StatusOK}
}
