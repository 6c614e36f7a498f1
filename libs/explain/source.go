package explain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/mapping"
)

// Call is what came from a vendor.
type Call struct {
	Method  string // default POST
	URL     string // path and query; default /webhooks/<source>
	Header  http.Header
	Body    []byte
	Poll    bool              // Body is a polled answer, which nobody signs
	Now     time.Time         // stands for now
	Secrets map[string]string // values by the connector's name, instead of the references
	Getenv  func(string) string
}

// Received is what becomes of a call.
type Received struct {
	Verified bool     `json:"verified"`
	Reason   string   `json:"reason"` // why not, or why it cannot be read
	Respond  Response `json:"respond"`
	Records  []Record `json:"records"`
}

// Response is what the vendor hears. The body is empty where ingress writes the
// ids of what it stored.
type Response struct {
	Status  int               `json:"status"`
	Body    string            `json:"body"`
	Headers map[string]string `json:"headers"`
}

// Record is one of the records in a call.
type Record struct {
	Kind         connector.Kind        `json:"kind"`
	Key          string                `json:"key"`
	Event        string                `json:"event"`
	Version      connector.Version     `json:"version"`
	Observations []mapping.Observation `json:"observations"`
	Stages       []Stage               `json:"stages"`
	Flags        []string              `json:"flags"`
}

// Stage is one step of a record's way, with the rule that decided.
type Stage struct {
	Stage   string `json:"stage"`   // verify, map, identify, order, authority, effective
	Outcome string `json:"outcome"` // ok, dead, new, waiting, conflict, pending
	Rule    string `json:"rule"`
	Path    string `json:"path"`
}

// Flags of a record.
const (
	FlagPartial = "partial" // laid over the last whole record
	FlagDeleted = "deleted" // the vendor says that the key is gone
	FlagRead    = "read"    // a hint: the record is read from the vendor afterwards
)

// Source explains a call of a source.
func Source(ctx context.Context, c *config.Company, name string, call Call) (Received, error) {
	src := c.Sources[name]
	if src == nil {
		return Received{}, fmt.Errorf("%w: there is no source %q; there are %s", ErrInput, name, strings.Join(c.SourceNames(), ", "))
	}
	if call.Poll {
		return polled(c, src, call)
	}
	if src.Type.Webhook == nil {
		return Received{}, fmt.Errorf("%w: %s takes no webhooks; a polled answer is explained with --poll", ErrInput, src.Connector)
	}
	account, getenv, err := given(src.Account, call.Secrets, call.Getenv)
	if err != nil {
		return Received{}, err
	}
	hook, err := open(c, account, config.ForWebhook, getenv, src.Type.Webhook, call.around)
	if err != nil {
		return Received{}, fmt.Errorf("%w: source %s: %w; a value can be given with --secret webhook=VALUE", ErrInput, name, err)
	}
	if call.Method == "" {
		call.Method = http.MethodPost
	}
	if call.URL == "" {
		call.URL = "/webhooks/" + name
	}
	if call.Header == nil {
		call.Header = http.Header{}
	}
	records, response, err := hook.Open(ctx, connector.Request{Method: call.Method, URL: call.URL, Header: call.Header, Body: call.Body, Now: call.Now})
	if no, forged := errors.AsType[connector.Unauthentic](err); forged {
		return Received{Reason: no.Reason, Respond: refusal(no, response), Records: []Record{}}, nil
	}
	out := Received{Verified: true, Respond: accepted(response), Records: []Record{}}
	verified := Stage{Stage: "verify", Outcome: "ok", Rule: "signature"}
	if err != nil {
		f := fault.Of(err)
		out.Reason = f.Reason
		out.Records = append(out.Records, Record{
			Kind: connector.KindRecord, Observations: []mapping.Observation{}, Flags: []string{}, Stages: []Stage{verified, dead("map", f)},
		})
		return out, nil
	}
	for _, r := range records {
		out.Records = append(out.Records, record(c, src, r, call.Now, verified))
	}
	return out, nil
}

// polled explains an answer of the vendor's API.
func polled(c *config.Company, src *config.Source, call Call) (Received, error) {
	if src.Type.Answers == nil {
		return Received{}, fmt.Errorf("%w: answers of %s cannot be opened", ErrInput, src.Connector)
	}
	account := src.Account
	account.Secrets = nil // nobody is called
	answers, err := open(c, account, config.ForAPI, call.Getenv, src.Type.Answers, call.around)
	if err != nil {
		return Received{}, fmt.Errorf("%w: source %s: %w", ErrInput, src.Name, err)
	}
	out := Received{Verified: true, Respond: Response{Headers: map[string]string{}}, Records: []Record{}}
	asked := Stage{Stage: "verify", Outcome: "ok", Rule: "poll"}
	records, err := answers.OpenAnswer(call.Body, call.Now)
	if err != nil {
		f := fault.Of(err)
		out.Reason = f.Reason
		out.Records = append(out.Records, Record{
			Kind: connector.KindRecord, Observations: []mapping.Observation{}, Flags: []string{}, Stages: []Stage{asked, dead("map", f)},
		})
		return out, nil
	}
	for _, r := range records {
		out.Records = append(out.Records, record(c, src, r, call.Now, asked))
	}
	return out, nil
}

func (call Call) around(a *connector.Account) {
	a.Now = func() time.Time { return call.Now }
	a.Log, a.Dry = slog.New(slog.DiscardHandler), true
}

// record takes one record through the stages as far as they are decided
// without knowing anybody.
func record(c *config.Company, src *config.Source, r connector.Record, now time.Time, first Stage) Record {
	out := Record{
		Kind: r.Kind, Key: r.Key, Event: r.Event, Version: r.Version,
		Observations: []mapping.Observation{}, Stages: []Stage{first}, Flags: []string{},
	}
	if r.Partial {
		out.Flags = append(out.Flags, FlagPartial)
	}
	if r.Deleted {
		out.Flags = append(out.Flags, FlagDeleted)
	}
	if r.Kind == connector.KindHint && src.Read {
		out.Flags = append(out.Flags, FlagRead)
	}
	if r.Kind != connector.KindRecord {
		return out
	}
	if !r.Version.Valid() {
		out.Stages = append(out.Stages, Stage{Stage: "map", Outcome: "dead", Rule: "version"})
		return out
	}
	now = now.In(c.Zone) // its days are calendar days there
	if src.Type.Survey {
		return response(c, src, r, now, out)
	}
	obs, err := src.Mapping.Observe(r, now)
	if err != nil {
		out.Stages = append(out.Stages, dead("map", fault.Of(err)))
		return out
	}
	out.Observations = append(out.Observations, obs)
	leaves := employee.Flatten(obs.Fields)
	out.Stages = append(out.Stages, Stage{Stage: "map", Outcome: "ok"}, identify(c, src, leaves), order(r.Version))
	out.Stages = append(out.Stages, authority(c, src.Name, leaves)...)
	out.Stages = append(out.Stages, effective(obs.Effective, now))
	return out
}

func dead(stage string, f *fault.Error) Stage {
	rule := f.Rule
	if rule == "" {
		rule = f.Reason
	}
	return Stage{Stage: stage, Outcome: "dead", Rule: rule, Path: f.Path}
}

// identify: nobody is known, so the record is a new person's, unless the
// account is also a target: then it may be the echo of our own create. Path is
// the first fact by which somebody who is known would be recognised.
func identify(c *config.Company, src *config.Source, leaves employee.Flat) Stage {
	s := Stage{Stage: "identify", Outcome: "new", Rule: "new"}
	if len(c.AlsoTargets(src.Name)) > 0 {
		s.Outcome, s.Rule = "waiting", "link_wait"
	}
	for _, m := range src.Match {
		for leaf, v := range leaves {
			if v != nil && (leaf == m.By || m.By == config.ByNationalID && strings.HasPrefix(leaf, "national_ids[")) {
				s.Path = employee.Pattern(leaf)
				return s
			}
		}
	}
	return s
}

// order: the first of a key is newer than nothing. Rule says by what the next
// ones are compared: the scale, or the record's own id.
func order(v connector.Version) Stage {
	rule := string(v.Scale)
	if rule == "" {
		rule = "id"
	}
	return Stage{Stage: "order", Outcome: "ok", Rule: rule}
}

// authority lists the leaves that the source may not set.
func authority(c *config.Company, source string, leaves employee.Flat) []Stage {
	var refused []string
	for leaf := range leaves {
		if !slices.Contains(c.Authority.Rank(leaf), source) {
			refused = append(refused, leaf)
		}
	}
	if len(refused) == 0 {
		return []Stage{{Stage: "authority", Outcome: "ok"}}
	}
	slices.Sort(refused)
	out := make([]Stage, len(refused))
	for i, leaf := range refused {
		out[i] = Stage{Stage: "authority", Outcome: "conflict", Rule: "no_authority", Path: leaf}
	}
	return out
}

// effective keeps back what holds from a later day.
func effective(day string, now time.Time) Stage {
	if day > now.Format(time.DateOnly) {
		return Stage{Stage: "effective", Outcome: "pending", Rule: day}
	}
	return Stage{Stage: "effective", Outcome: "ok", Rule: day}
}

// accepted is ingress's answer to an authentic call.
func accepted(r connector.Response) Response {
	status := r.Status
	if status == 0 {
		status = http.StatusAccepted
	}
	return Response{Status: status, Body: string(r.Body), Headers: first(r.Header)}
}

// refusal is ingress's answer to a call that is not the vendor's.
func refusal(no connector.Unauthentic, r connector.Response) Response {
	status := r.Status
	if status < http.StatusBadRequest {
		status = http.StatusUnauthorized
	}
	headers := first(r.Header)
	headers["Content-Type"] = "application/json"
	body, _ := json.Marshal(map[string]any{"ok": false, "error": map[string]string{"code": "not_authentic", "message": "the call is not authentic: " + no.Reason}}) // texts only
	return Response{Status: status, Body: string(body), Headers: headers}
}

func first(h http.Header) map[string]string {
	out := map[string]string{}
	for name := range h {
		out[name] = h.Get(name)
	}
	return out
}
