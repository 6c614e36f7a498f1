// Package sourcetest is the list of promises that every source keeps, run
// against a connector and its faked vendor. A bug found in one connector
// becomes a promise checked in all.
//
//	Webhook: nothing without a signature, nothing lost, nothing twice, never a panic
//	Reader:  unknown is not an error, errors say what to do, the context's end stops
//	Source:  the cursor moves on and never back
package sourcetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

// Webhook is what a connector's test says about its webhook.
type Webhook struct {
	Open    func(t *testing.T) connector.Webhook
	Sign    func(body []byte) http.Header // all headers of an authentic call
	Record  []byte                        // a body that gives records or hints
	Keys    []string                      // the keys in it, in order
	Ping    []byte                        // nil: the vendor sends none
	Unknown []byte                        // an authentic event that nobody follows
	Garbled []byte                        // authentic and unreadable; default: Record cut in half
	Success int                           // the status that the vendor takes for success
	Intact  bool                          // each call is one record whose body is the call's, byte for byte
	Now     time.Time
}

// RunWebhook checks every promise of a webhook.
func RunWebhook(t *testing.T, w Webhook) {
	if w.Garbled == nil {
		w.Garbled = w.Record[:len(w.Record)/2]
	}
	t.Run("an unsigned call is refused with 401 and gives nothing", func(t *testing.T) {
		w.refused(t, w.Record, http.Header{"Content-Type": w.Sign(w.Record)["Content-Type"]})
	})
	t.Run("a wrong signature is refused with 401 and gives nothing", func(t *testing.T) {
		w.refused(t, w.Record, w.Sign(append(bytes.Clone(w.Record), ' ')))
	})
	t.Run("the signature covers the raw bytes", func(t *testing.T) {
		for i := range w.Record { // every byte counts, white space and escapes included
			changed := bytes.Clone(w.Record)
			changed[i] ^= 0x01
			if _, _, err := w.open(t, changed, w.Sign(w.Record)); !isUnauthentic(err) {
				t.Fatalf("a body with byte %d changed was accepted: %v", i, err)
			}
		}
	})
	t.Run("a garbled signature is refused, never a panic", func(t *testing.T) {
		for name, values := range w.Sign(w.Record) {
			for _, bad := range []string{"", " ", "sha256", "sha256 ", "sha256 zz", "=", ",", "\xff\xfe", values[0] + "0"} {
				h := w.Sign(w.Record)
				h.Set(name, bad)
				if recs, _, err := w.open(t, w.Record, h); err != nil && len(recs) > 0 {
					t.Errorf("%s %q: records beside the error %v", name, bad, err)
				}
			}
		}
	})
	t.Run("an authentic call gives its keys as text and the vendor's success", func(t *testing.T) {
		recs := w.accepted(t, w.Record)
		if len(recs) != len(w.Keys) {
			t.Fatalf("%d records, want %d", len(recs), len(w.Keys))
		}
		for i, rec := range recs {
			if rec.Key != w.Keys[i] || rec.Key == "" {
				t.Errorf("key %q, want %q", rec.Key, w.Keys[i])
			}
			if rec.Kind != connector.KindRecord && rec.Kind != connector.KindHint {
				t.Errorf("kind %q is neither record nor hint", rec.Kind)
			}
			if !json.Valid(rec.Body) {
				t.Errorf("the body of %s is not JSON", rec.Key)
			}
			if w.Intact && !bytes.Equal(rec.Body, w.Record) {
				t.Errorf("the body of %s is not the vendor's, byte for byte", rec.Key)
			}
			if v := rec.Version; (v.Scale == "") != (v.Value == "") {
				t.Errorf("half a version: %+v", v)
			}
		}
	})
	t.Run("the body handed out is not the caller's buffer", func(t *testing.T) {
		buf := bytes.Clone(w.Record)
		recs, _, err := w.open(t, buf, w.Sign(buf))
		if err != nil {
			t.Fatal(err)
		}
		before := bytes.Clone(recs[0].Body)
		clear(buf)
		if !bytes.Equal(before, recs[0].Body) {
			t.Error("the record changed when the request's buffer was used again")
		}
	})
	t.Run("a repeat has the same id, and each record its own", func(t *testing.T) {
		first, again := w.accepted(t, w.Record), w.accepted(t, w.Record)
		seen := map[string]bool{}
		for i := range first {
			if first[i].ID == "" || first[i].ID != again[i].ID {
				t.Errorf("ids %q and %q of one message", first[i].ID, again[i].ID)
			}
			if seen[first[i].ID] {
				t.Errorf("two records of one call share the id %q", first[i].ID)
			}
			seen[first[i].ID] = true
		}
	})
	t.Run("an unknown event is answered with success and not stored", func(t *testing.T) {
		for _, rec := range w.accepted(t, w.Unknown) {
			if rec.Kind != connector.KindIgnored {
				t.Errorf("kind %q, want %q", rec.Kind, connector.KindIgnored)
			}
		}
	})
	t.Run("a ping is answered with success and not stored", func(t *testing.T) {
		if w.Ping == nil {
			return // this vendor sends none
		}
		for _, rec := range w.accepted(t, w.Ping) {
			if rec.Kind != connector.KindPing {
				t.Errorf("kind %q, want %q", rec.Kind, connector.KindPing)
			}
		}
	})
	t.Run("an authentic body that cannot be read is a record's fault, never a panic", func(t *testing.T) {
		for _, body := range [][]byte{w.Garbled, []byte(""), []byte("{"), []byte("null"), []byte("[]"), []byte(`"x"`), []byte("\x00\xff")} {
			recs, _, err := w.open(t, body, w.Sign(body))
			if f := fault.Of(err); f == nil || f.Class != fault.Record || f.Reason == "" || isUnauthentic(err) {
				t.Errorf("%.20q: error %v, want a fault of class record", body, err)
			}
			if len(recs) > 0 {
				t.Errorf("%.20q: %d records beside the error", body, len(recs))
			}
		}
	})
	t.Run("every prefix of an authentic body is answered, never a panic", func(t *testing.T) {
		for i := range w.Record {
			_, _, _ = w.open(t, w.Record[:i], w.Sign(w.Record[:i]))
		}
	})
}

func (w Webhook) open(t *testing.T, body []byte, h http.Header) ([]connector.Record, connector.Response, error) {
	t.Helper()
	return w.Open(t).Open(context.Background(), connector.Request{
		Method: http.MethodPost, URL: "/webhooks/it", Header: h, Body: body, Now: w.Now,
	})
}

func (w Webhook) refused(t *testing.T, body []byte, h http.Header) {
	t.Helper()
	recs, res, err := w.open(t, body, h)
	if !isUnauthentic(err) {
		t.Errorf("error %v, want Unauthentic", err)
	}
	if res.Status != http.StatusUnauthorized || len(recs) != 0 {
		t.Errorf("answered %d with %d records, want 401 with none", res.Status, len(recs))
	}
}

func (w Webhook) accepted(t *testing.T, body []byte) []connector.Record {
	t.Helper()
	recs, res, err := w.open(t, body, w.Sign(body))
	if err != nil {
		t.Fatalf("an authentic call was refused: %v", err)
	}
	if status := res.Status; status != w.Success && (status != 0 || w.Success != http.StatusAccepted) {
		t.Errorf("answered %d, want %d", status, w.Success)
	}
	return recs
}

func isUnauthentic(err error) bool {
	_, ok := errors.AsType[connector.Unauthentic](err)
	return ok
}
