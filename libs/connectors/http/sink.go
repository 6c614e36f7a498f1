package httpconn

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/httpx"
	"github.com/muster-hr/muster/libs/fault"
)

// Names in Refs.
const (
	refKey   = "key"   // the target's id of the person
	refID    = "id"    // the same, where the account is a source and its key came from there
	refThere = "there" // "true": a write of the person succeeded, and gave no id
)

// verb is how one kind of write is called.
type verb struct {
	name   string
	method string
	target target
	own    bool // configured for itself, not the general method and path
}

// sink writes to one configured target.
type sink struct {
	name       string
	client     *httpx.Client
	now        func() time.Time
	create     verb
	update     verb
	disable    verb
	headers    http.Header
	idemHeader string
	asEvent    bool
	ref        string // gjson path, "Location", or ""
	lookup     *lookup
	effects    connector.Effects
	tells      bool // who is known from who is not: all who are told every change in one way are the same to it
}

// Effects are as configured.
func (s *sink) Effects() connector.Effects { return s.effects }

// Apply writes one state. Who is not known at the target is looked up first,
// where a lookup is configured; so is a change that may have been sent before.
//
// Known is whose id we have, or of whom a write succeeded, until they are
// removed there. Versions that were given up or kept back make nobody known.
func (s *sink) Apply(ctx context.Context, d connector.Delivery, _ connector.Progress) (connector.Receipt, error) {
	key := keyOf(d)
	known := !s.tells || key != "" || d.Refs[refThere] != "" || d.Before != nil && !leaves(d.Was)
	gone := leaves(d.Status)
	if s.lookup.ofEvents() {
		found, err := s.Find(ctx, d)
		if err != nil {
			return connector.Receipt{}, err
		}
		if len(found) > 0 { // its answer was lost
			return connector.Receipt{Refs: d.Refs, Outcome: "unchanged", Sent: []string{}}, nil
		}
	}
	if s.lookup.ofPeople() && key == "" && (!known || s.update.target.needs("key")) {
		found, err := s.Find(ctx, d)
		if err != nil {
			return connector.Receipt{}, err
		}
		if key, err = sure(found); err != nil {
			return connector.Receipt{}, err
		}
		known = known || key != ""
	}
	blind := !s.disable.own || s.disable.target.needs("key") && key == "" // no way to disable whom we do not know
	never := s.lookup.ofPeople() || (d.Since.IsZero() && blind && s.effects.StateLike)
	if gone && !known && (never || leaves(d.Was)) {
		// A person the target never had is not sent there to be marked as gone.
		// One that wants every change gets this one too.
		return connector.Receipt{Refs: d.Refs, Outcome: "unchanged", Sent: []string{}}, nil
	}
	v := s.update
	switch {
	case gone:
		v = s.disable
	case !known:
		v = s.create
	}
	return s.write(ctx, d, v, key)
}

func (s *sink) write(ctx context.Context, d connector.Delivery, v verb, key string) (connector.Receipt, error) {
	receipt := connector.Receipt{Refs: with(d.Refs, refKey, key), Key: key}
	path, query, ok := v.target.fill(writeValues(d, v.name, key))
	if !ok {
		return connector.Receipt{}, fault.New(fault.Record, "no_ref", "the path of %s needs an id that is not known: set ref or lookup.path", v.name)
	}
	call := httpx.Call{Method: v.method, Path: path, Template: v.target.source, Query: query, Header: s.headers}
	if s.idemHeader != "" {
		call.KeyHeader, call.Key = s.idemHeader, s.key(d, v)
	}
	switch {
	case v.method == http.MethodDelete:
		receipt.Sent = []string{}
	case s.asEvent:
		call.JSON = map[string]any{"id": d.Event, "type": d.Type, "version": d.Version, "body": orEmpty(d.Body)}
	case v.method == http.MethodPatch && d.Before != nil && v.name != "create":
		patch, paths := mergePatch(d.Before, d.Body)
		if len(patch) == 0 && !(v.name == "disable" && v.own) {
			receipt.Outcome, receipt.Sent = "unchanged", []string{}
			return receipt, nil
		}
		call.JSON, call.ContentType, receipt.Sent = patch, "application/merge-patch+json", paths
	default:
		call.JSON = orEmpty(d.Body)
	}
	answer, err := s.client.Do(ctx, call)
	if err != nil {
		return s.refused(ctx, d, v, answer, err, receipt)
	}
	return s.remember(receipt, v, answer), nil
}

func leaves(status string) bool { return status == "terminated" || status == "withdrawn" }

// remember notes the target's id, or that the person is there. Of one who was
// removed nothing stays: then delivery looks for them before a rehire, as
// before any create.
func (s *sink) remember(r connector.Receipt, v verb, a httpx.Answer) connector.Receipt {
	if v.name == "disable" && v.method == http.MethodDelete {
		r.Refs = connector.Refs{}
		return r
	}
	switch id := s.readRef(a); {
	case id != "":
		r.Refs, r.Key = with(r.Refs, refKey, id), id
	case r.Refs[refKey] == "" && s.tells:
		r.Refs = with(r.Refs, refThere, "true")
	}
	return r
}

// refused decides what an answer that is no success means for this verb.
func (s *sink) refused(ctx context.Context, d connector.Delivery, v verb, a httpx.Answer, err error, receipt connector.Receipt) (connector.Receipt, error) {
	switch f := fault.Of(err); {
	case f.Class == fault.Done:
	case v.name == "disable" && v.own && (a.Status == http.StatusNotFound || a.Status == http.StatusGone):
		receipt.Refs, receipt.Outcome = connector.Refs{}, "unchanged" // not there, however that came
		return receipt, nil
	case v.name == "create" && a.Status == http.StatusConflict && s.lookup.ofPeople():
		found, findErr := s.Find(ctx, d)
		if findErr != nil {
			return connector.Receipt{}, findErr
		}
		key, sureErr := sure(found)
		if sureErr != nil || key == "" {
			return connector.Receipt{}, err
		}
		return s.write(ctx, d, s.update, key)
	default:
		return connector.Receipt{}, err
	}
	receipt.Outcome = "unchanged"
	return s.remember(receipt, v, a), nil
}

// key is the idempotency key. It is the same for every attempt at one event of
// one person by one template: a create that became an update on the way is
// another request.
func (s *sink) key(d connector.Delivery, v verb) string {
	sum := sha256.Sum256([]byte(s.name + "|" + d.Event + "|" + d.ID + "|" + v.method + " " + v.target.source))
	return hex.EncodeToString(sum[:16])
}

func (s *sink) readRef(a httpx.Answer) string {
	switch s.ref {
	case "":
		return ""
	case "Location":
		u, err := url.Parse(a.Header.Get("Location"))
		if err != nil {
			return ""
		}
		path := strings.TrimRight(u.Path, "/")
		return path[strings.LastIndexByte(path, '/')+1:]
	}
	return gjson.GetBytes(a.Body, s.ref).String()
}

// classify is the usual reading of a status with the company's own on top.
func classify(classes map[string]string) (httpx.Classify, error) {
	own := map[int]fault.Class{}
	for status, word := range classes {
		n, err := strconv.Atoi(status)
		if err != nil || n < 100 || n > 599 {
			return nil, fmt.Errorf("classes: %q is not a status", status)
		}
		class, ok := classWords[word]
		if !ok {
			return nil, fmt.Errorf("classes: %q is not one of done, record, target, throttled, transient", word)
		}
		own[n] = class
	}
	return func(status int, h http.Header, body []byte, now time.Time) *fault.Error {
		class, ok := own[status]
		if !ok {
			return httpx.Default(status, h, body, now)
		}
		f := fault.New(class, "status_"+strconv.Itoa(status), "answered %d, which the settings class so", status)
		if class == fault.Throttled {
			f.After = fault.RetryAfter(h, now, 30*time.Second)
		}
		return f
	}, nil
}

var classWords = map[string]fault.Class{
	"done": fault.Done, "record": fault.Record, "target": fault.Target,
	"throttled": fault.Throttled, "transient": fault.Transient,
}

// keyOf is the target's id of the person. The source's key is believed until
// the first write: it may be of somebody who was removed since.
func keyOf(d connector.Delivery) string {
	if d.Was != "" {
		return d.Refs[refKey]
	}
	return cmp.Or(d.Refs[refKey], d.Refs[refID])
}

// with is refs and one more; "" is none.
func with(refs connector.Refs, name, value string) connector.Refs {
	if value == "" {
		return refs
	}
	out := maps.Clone(refs)
	if out == nil {
		out = connector.Refs{}
	}
	out[name] = value
	return out
}

func orEmpty(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}
