package httpconn

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

// webhook opens the calls of one configured source.
type webhook struct {
	signature  *signature  // nil: not signed
	credential *credential // nil: none; one of both is there
	records    string      // gjson path; "" is the whole message
	key        place
	event      place
	id         place
	version    place
	scale      connector.Scale
	partial    bool
	deleted    place
	gone       []string
	status     int
}

func newWebhook(a connector.Account) (connector.Webhook, error) {
	key := a.Secrets["webhook"].Reveal()
	if key == "" {
		return nil, fmt.Errorf("the secret webhook is missing: a source must not take calls from anybody")
	}
	w := &webhook{
		scale:   connector.Scale(or(a.Text("version.scale"), string(connector.ScaleSequence))),
		partial: a.Bool("partial"),
		gone:    a.List("deleted.values"),
		status:  a.Int("success_status"),
	}
	if w.gone == nil {
		w.gone = []string{"true"}
	}
	if w.status != 0 && (w.status < 200 || w.status > 299) {
		return nil, fmt.Errorf("success_status: %d is not from 200 to 299", w.status)
	}
	if w.scale != connector.ScaleSequence && w.scale != connector.ScaleTime {
		return nil, fmt.Errorf("version.scale: %q is not one of sequence, time", w.scale)
	}
	var err error
	if a.Text("signature.header") != "" {
		if w.signature, err = newSignature(a, key); err != nil {
			return nil, err
		}
	}
	if w.credential, err = newCredential(a, key); err != nil {
		return nil, err
	}
	if w.signature == nil && w.credential == nil {
		return nil, fmt.Errorf("name signature.header, or auth: a source must not take calls from anybody")
	}
	if records := strings.TrimSuffix(a.Text("records"), "[*]"); records != "" {
		if w.records, err = jsonPath(strings.TrimPrefix(records, "$.")); err != nil {
			return nil, fmt.Errorf("records: %w", err)
		}
	}
	for _, p := range []struct {
		at      *place
		setting string
		value   string
	}{
		{&w.key, "key", or(a.Text("key"), "id")},
		{&w.event, "event", a.Text("event")},
		{&w.id, "id", a.Text("id")},
		{&w.version, "version.path", a.Text("version.path")},
		{&w.deleted, "deleted", a.Text("deleted")},
	} {
		if *p.at, err = parsePlace(p.setting, p.value); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// Open verifies the call on its raw bytes, then splits it.
func (w *webhook) Open(_ context.Context, r connector.Request) ([]connector.Record, connector.Response, error) {
	if reason := w.verify(r); reason != "" {
		return nil, connector.Response{Status: http.StatusUnauthorized}, connector.Unauthentic{Reason: reason}
	}
	answer := connector.Response{Status: w.status}
	if !gjson.ValidBytes(r.Body) {
		return nil, answer, fault.New(fault.Record, "json", "the message is not JSON")
	}
	message := bytes.TrimLeft(r.Body, " \t\r\n")
	whole := message
	if w.records != "" || message[0] == '[' {
		found := gjson.ParseBytes(message)
		if w.records != "" {
			found = found.Get(w.records)
		}
		if found.IsArray() {
			records, err := w.list(r, message, found)
			return records, answer, err
		}
		whole = []byte(found.Raw)
	}
	rec, err := w.record(r, message, whole)
	if err != nil {
		return nil, answer, err
	}
	return []connector.Record{rec}, answer, nil
}

// list gives all records of a list, or none if one cannot be read.
func (w *webhook) list(r connector.Request, message []byte, found gjson.Result) (out []connector.Record, err error) {
	found.ForEach(func(_, v gjson.Result) bool {
		var rec connector.Record
		if rec, err = w.record(r, message, []byte(v.Raw)); err != nil {
			out = nil
			return false
		}
		out = append(out, rec)
		return true
	})
	return out, err
}

func (w *webhook) verify(r connector.Request) string {
	if w.credential != nil {
		if reason := w.credential.verify(r.Header); reason != "" {
			return reason
		}
	}
	if w.signature != nil {
		return w.signature.verify(r.Header, r.Body, r.Now)
	}
	return ""
}

// record is what stands in v, which may be a part of the call's body and is not
// copied.
func (w *webhook) record(r connector.Request, message, v []byte) (connector.Record, error) {
	if !bytes.HasPrefix(v, []byte("{")) {
		return connector.Record{}, &fault.Error{Class: fault.Record, Reason: "shape", Path: w.records, Rule: "records"}
	}
	rec := connector.Record{Kind: connector.KindRecord, Partial: w.partial, Body: v}
	var err error
	if rec.Key, err = w.key.need(r.Header, message, v); err != nil {
		return rec, err
	}
	rec.Event, _ = w.event.find(r.Header, message, v)
	if !w.version.unset {
		if rec.Version, err = w.readVersion(r, message, v); err != nil {
			return rec, err
		}
	}
	if said, ok := w.deleted.find(r.Header, message, v); ok {
		rec.Deleted = slices.ContainsFunc(w.gone, func(g string) bool { return strings.EqualFold(g, said) })
	}
	if w.id.unset {
		sum := sha256.Sum256(rec.Body)
		rec.ID = hex.EncodeToString(sum[:16])
		return rec, nil
	}
	if rec.ID, err = w.id.need(r.Header, message, v); err != nil {
		return rec, err
	}
	if w.id.message || w.id.header != "" {
		rec.ID += "/" + rec.Key // a message's id is shared by its records
	}
	return rec, nil
}

func (w *webhook) readVersion(r connector.Request, message, v []byte) (connector.Version, error) {
	s, err := w.version.need(r.Header, message, v)
	if err != nil {
		return connector.Version{}, err
	}
	if w.scale == connector.ScaleSequence {
		if n, err := strconv.ParseUint(s, 10, 64); err == nil {
			return connector.Version{Scale: w.scale, Value: strconv.FormatUint(n, 10)}, nil
		}
	} else if t, err := time.Parse(time.RFC3339, s); err == nil {
		return connector.Version{Scale: w.scale, Value: t.UTC().Format(time.RFC3339Nano)}, nil
	}
	return connector.Version{}, &fault.Error{Class: fault.Record, Reason: "version", Path: w.version.where(), Rule: w.version.setting}
}
