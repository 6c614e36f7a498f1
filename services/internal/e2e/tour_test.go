package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/schemas"
	"github.com/nats-io/nats.go"
)

// planted are values that must be seen at the vendors and nowhere else.
var planted = struct{ given, family, salary, birth, ssn string }{"Zofia", "Wiśniewska-O'Brien", "91234.56", "1987-06-05", "219-09-9999"}

// exporter stands between the services and the console: it keeps every byte
// of every exported trace and hands them on.
type exporter struct {
	mu    sync.Mutex
	bytes []byte
	to    string
}

func (e *exporter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	e.mu.Lock()
	e.bytes = append(e.bytes, b...)
	to := e.to
	e.mu.Unlock()
	req, _ := http.NewRequestWithContext(r.Context(), http.MethodPost, "http://"+to+r.URL.Path, bytes.NewReader(b))
	req.Header = r.Header.Clone()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	w.WriteHeader(resp.StatusCode)
}

// TestTour plays the demo and then looks at everything it left behind.
func TestTour(t *testing.T) {
	seen := &exporter{to: freePort(t)}
	otlp := httptest.NewServer(seen)
	defer otlp.Close()
	s := start(t, t.TempDir(), []string{"MUSTER_CONSOLE_ADDR=" + seen.to, "OTEL_EXPORTER_OTLP_ENDPOINT=" + otlp.URL, "MUSTER_LOG_LEVEL=debug"},
		"demo", "--keep", "--config", filepath.Join(root(t), "deploy", "acme"))
	s.until("the demo's result", 90*time.Second, func() bool { return strings.Contains(s.out.String(), "stop with Ctrl-C") })
	t.Log("\n" + s.out.String())
	hris, email := hired(t, s)

	// A person in HR adds what the ATS does not know.
	auth := http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("sandbox-bamboohr-api_key:x"))}, "Content-Type": {"application/json"}}
	if code := s.call(http.MethodPost, s.Sandbox+"/bamboohr/api/v1/employees/"+hris, auth, map[string]string{"dateOfBirth": planted.birth, "ssn": planted.ssn}, nil); code != http.StatusOK {
		t.Fatalf("the HRIS answered %d", code)
	}
	var person struct{ ID string }
	s.until("the birth date to arrive", 20*time.Second, func() bool {
		var ok bool
		if person.ID, ok = s.known("bamboohr:" + hris); !ok {
			return false
		}
		var detail struct{ Employee map[string]any }
		return s.api("/employees/"+person.ID+"?show=1", &detail) == http.StatusOK && detail.Employee["birth_date"] == planted.birth
	})

	t.Run("the hire is one trace", func(t *testing.T) { oneTrace(t, s) })
	t.Run("planted values are nowhere but at the vendors", func(t *testing.T) { nowhere(t, s, seen, hris) })
	t.Run("each target has what it may have", func(t *testing.T) { minimised(t, s) })
	t.Run("every message is a CloudEvent", func(t *testing.T) { cloudEvents(t, s) })
	t.Run("a team reads its own events and nothing else", func(t *testing.T) { teamReads(t, s, person.ID) })
	t.Run("the timeline tells it in order", func(t *testing.T) { timeline(t, s, person.ID) })
	t.Run("values are masked unless asked for", func(t *testing.T) {
		var raw json.RawMessage
		if code := s.api("/employees/"+person.ID, &raw); code != http.StatusOK {
			t.Fatalf("answered %d", code)
		}
		for _, v := range []string{planted.given, planted.birth, planted.ssn, email} {
			if bytes.Contains(raw, []byte(v)) {
				t.Errorf("a masked answer holds a value")
			}
		}
	})
	t.Run("the metrics people watch are there", func(t *testing.T) {
		for service, lines := range map[string][]string{
			"ingress":       {`muster_ingress_requests_total{code="200",source="greenhouse"}`, `muster_source_quiet_seconds{source="bamboohr"}`},
			"transform":     {`muster_records_total{outcome="applied",source="greenhouse"}`, `muster_changes_total{type="hr.employee.preboarded.v1"}`, `muster_lag_messages{consumer="transform"} 0`},
			"poller":        {`muster_lag_messages{consumer="poller-bamboohr"}`},
			"delivery-okta": {`muster_delivery_attempts_total{outcome="applied",target="okta"}`, `muster_delivery_latency_seconds_count{target="okta"}`, `muster_lag_messages{consumer="delivery-okta"}`, `muster_parked{target="okta"}`, `muster_breaker_state{target="okta"}`},
		} {
			for _, line := range lines {
				if s.metric(service, line) == "" {
					t.Errorf("%s does not show %s", service, line)
				}
			}
		}
	})
	t.Run("a call that is not authentic is refused and not stored", func(t *testing.T) {
		before := s.metric("ingress", `muster_ingress_requests_total{code="401",source="greenhouse"}`)
		code := s.call(http.MethodPost, s.Sources["greenhouse"].Webhook, http.Header{"Signature": {"sha256 00"}}, []byte(`{"action":"hire_candidate"}`), nil)
		if code != http.StatusUnauthorized {
			t.Errorf("answered %d", code)
		}
		if after := s.metric("ingress", `muster_ingress_requests_total{code="401",source="greenhouse"}`); after == before {
			t.Error("it was not counted")
		}
	})
}

func hired(t *testing.T, s *system) (id, email string) {
	t.Helper()
	for id, p := range s.vendor("bamboohr").People {
		if p["firstName"] == planted.given {
			return id, fmt.Sprint(p["workEmail"])
		}
	}
	t.Fatal("the demo left nobody in the HRIS")
	return "", ""
}

func (s *system) metric(service, line string) string {
	s.t.Helper()
	resp, err := http.Get(s.Services[service].URL + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	for l := range strings.SplitSeq(string(b), "\n") {
		if strings.HasPrefix(l, line) {
			return l
		}
	}
	return ""
}

type span struct {
	ID         string         `json:"span_id"`
	Parent     string         `json:"parent_id"`
	Name       string         `json:"name"`
	Kind       string         `json:"kind"`
	Service    string         `json:"service"`
	Attributes map[string]any `json:"attributes"`
}

// oneTrace follows the hire from the vendor's POST to each target's request.
func oneTrace(t *testing.T, s *system) {
	var id string
	for _, w := range s.vendor("okta").Writes {
		if w.Op == "create" && strings.Contains(fmt.Sprint(w.Body), planted.given) {
			id = strings.Split(w.Traceparent, "-")[1]
		}
	}
	var trace struct{ Spans []span }
	want := []string{
		"ingress server", "ingress send RAW", "transform process RAW", "transform send PEOPLE",
		"delivery-bamboohr process PEOPLE", "delivery-bamboohr client", "delivery-okta process PEOPLE", "delivery-okta client",
		"delivery-payroll process PEOPLE", "delivery-payroll client", "delivery-team-bi process PEOPLE",
	}
	var got []string
	s.until("the whole trace", 10*time.Second, func() bool {
		trace.Spans = nil
		s.api("/traces/"+id, &trace)
		got = hops(trace.Spans)
		for _, w := range want {
			if !slices.Contains(got, w) {
				return false
			}
		}
		return orphans(trace.Spans) == nil
	})
	t.Logf("hops: %s", strings.Join(got, ", "))
	if o := orphans(trace.Spans); len(o) > 0 {
		t.Errorf("spans without their parent: %v", o)
	}
	for _, v := range []string{"bamboohr", "okta", "payroll"} {
		received := false
		for _, w := range s.vendor(v).Writes {
			received = received || strings.Contains(w.Traceparent, id)
		}
		if !received {
			t.Errorf("%s never received the trace id", v)
		}
	}
}

func hops(spans []span) []string {
	seen := map[string]bool{}
	for _, sp := range spans {
		hop := sp.Service + " " + strings.ToLower(strings.TrimPrefix(sp.Kind, "SPAN_KIND_"))
		if op, ok := sp.Attributes["messaging.operation.type"]; ok {
			hop = fmt.Sprintf("%s %v %v", sp.Service, op, sp.Attributes["messaging.destination.name"])
		}
		seen[hop] = true
	}
	var out []string
	for h := range seen {
		out = append(out, h)
	}
	sort.Strings(out)
	return out
}

func orphans(spans []span) []string {
	ids := map[string]bool{}
	for _, sp := range spans {
		ids[sp.ID] = true
	}
	var out []string
	for _, sp := range spans {
		if sp.Parent != "" && !ids[sp.Parent] {
			out = append(out, sp.Service+" "+sp.Name)
		}
	}
	return out
}

// nowhere searches everything that is not a vendor for the planted values, in
// each form in which a program might write them.
func nowhere(t *testing.T, s *system, seen *exporter, hris string) {
	forms := map[string][]byte{}
	for what, v := range map[string]string{"family name": planted.family, "salary": planted.salary, "birth date": planted.birth, "national id": planted.ssn, "given name": planted.given + " "} {
		escaped, _ := json.Marshal(v)
		ascii := fmt.Sprintf("%+q", v)
		for form, b := range map[string][]byte{
			"UTF-8": []byte(v), "JSON": bytes.Trim(escaped, `"`), "JSON, ASCII": []byte(strings.Trim(ascii, `"`)), "percent": []byte(url.QueryEscape(v)), "percent in a path": []byte(url.PathEscape(v)),
			"base64": []byte(base64.StdEncoding.EncodeToString([]byte(v))[:len(v)*4/3-2]), "hex": []byte(hex.EncodeToString([]byte(v))), "HEX": []byte(strings.ToUpper(hex.EncodeToString([]byte(v)))),
		} {
			forms[what+" as "+form] = b
		}
	}
	var metrics bytes.Buffer
	for _, svc := range s.Services {
		resp, err := http.Get(svc.URL + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = metrics.ReadFrom(resp.Body)
		_ = resp.Body.Close()
	}
	var headers, data bytes.Buffer
	eachMessage(t, s, func(m *nats.Msg) {
		fmt.Fprintln(&headers, m.Subject)
		for k, v := range m.Header {
			fmt.Fprintln(&headers, k, strings.Join(v, " "))
		}
		if !strings.HasPrefix(m.Subject, "hr.team.") { // a team's events are in clear, and hold none of these
			data.Write(m.Data)
		}
	})
	seen.mu.Lock()
	spans := bytes.Clone(seen.bytes)
	seen.mu.Unlock()
	places := map[string][]byte{"logs": []byte(s.logText()), "spans": spans, "metrics": metrics.Bytes(), "bus headers and subjects": headers.Bytes(), "bus data": data.Bytes()}
	for place, b := range places {
		if len(b) < 1000 {
			t.Errorf("only %d bytes of %s were searched", len(b), place)
		}
		for what, form := range forms {
			if bytes.Contains(b, form) {
				t.Errorf("%s stands in %s", what, place)
			}
		}
	}
	// The same search finds them where they belong.
	var control bytes.Buffer
	for _, v := range []string{"bamboohr", "payroll", "okta", "greenhouse"} {
		b, _ := json.Marshal(s.vendor(v))
		control.Write(b)
	}
	for _, v := range []string{planted.family, planted.birth, planted.ssn, planted.given} {
		escaped, _ := json.Marshal(v)
		if !bytes.Contains(control.Bytes(), bytes.Trim(escaped, `"`)) {
			t.Errorf("the search does not find a value that is at the vendors")
		}
	}
	if !strings.Contains(control.String(), strings.TrimSuffix(planted.salary, ".56")) {
		t.Error("the search does not find the salary at the vendors")
	}
	_ = hris
}

// minimised looks at what every target was sent over the whole demo: each value
// of a sensitive class is where an integration lists it, and nowhere else.
func minimised(t *testing.T, s *system) {
	salary := strings.TrimSuffix(planted.salary, ".56")
	for value, may := range map[string][]string{
		planted.ssn: {"bamboohr", "carrier"}, planted.birth: {"bamboohr", "carrier"}, // a person in HR typed them
		"900123499": {"carrier"}, "1988-05-14": {"carrier"}, "19880514": {"carrier"}, "88 SW S": {"carrier"}, // from the elections
		salary: {"bamboohr", "payroll"}, "98000.00": {"bamboohr", "payroll"}, "PPO-500": {"carrier"},
	} {
		for _, target := range []string{"bamboohr", "okta", "payroll", "lms", "carrier"} {
			for _, w := range s.vendor(target).Writes {
				b, err := json.Marshal(w.Body)
				if err != nil {
					t.Fatal(err)
				}
				if around := standing(string(b)+" "+w.Key, value); around != "" && !slices.Contains(may, target) {
					t.Errorf("a value that only %v may have was sent to %s: …%s…", may, target, around)
				}
			}
		}
		eachMessage(t, s, func(m *nats.Msg) {
			if strings.HasPrefix(m.Subject, "hr.team.") && standing(string(m.Data), value) != "" {
				t.Errorf("a value that only %v may have was sent to the team", may)
			}
		})
	}
	for value, target := range map[string]string{"PPO-500": "carrier", "19880514": "carrier", "900123499": "carrier", "98000.00": "payroll"} {
		if b, _ := json.Marshal(s.vendor(target).Writes); standing(string(b), value) == "" {
			t.Errorf("the search does not find at %s what belongs there (%s)", target, value)
		}
	}
}

// standing finds a value with what stands around it, or nothing. Within
// hexadecimal digits it is none: one id of a trace or of an employee in some ten
// thousand holds the five digits of a salary.
func standing(text, value string) string {
	hex := func(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' }
	for from := 0; ; {
		i := strings.Index(text[from:], value)
		if i < 0 {
			return ""
		}
		i, from = from+i, from+i+1
		end := i + len(value)
		if (i == 0 || !hex(text[i-1])) && (end == len(text) || !hex(text[end])) {
			return text[max(0, i-60):min(len(text), end+60)]
		}
	}
}

// TestAValueWithinAnIDIsNone: an id that holds the digits of a salary is no
// salary, and a salary is one however it is written.
func TestAValueWithinAnIDIsNone(t *testing.T) {
	t.Parallel()
	for text, is := range map[string]bool{
		`{"id":"01935e5c-aa91-7234-8d69-912344c0c6ab"}`:           false,
		`00-8d69d8c0c6ab2603991234bcdf934dc4-8d69d8c0c6ab2603-01`: false,
		`{"id":"a91234","pay":"91234"}`:                           true,
		`{"pay":91234.56}`:                                        true, `"id\n91234,x"`: true, `91234`: true, `pay 91234 USD`: true, `*91234~`: true,
	} {
		if got := standing(text, "91234") != ""; got != is {
			t.Errorf("%s: found %v, want %v", text, got, is)
		}
	}
}

// eachMessage reads every message of every stream as the admin.
func eachMessage(t *testing.T, s *system, fn func(*nats.Msg)) {
	t.Helper()
	key, err := nats.NkeyOptionFromSeed(s.NATS.NKeys["admin"])
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(s.NATS.URL, key)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := nc.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	streams := 0
	for info := range js.Streams() {
		streams++
		if info.State.Msgs == 0 || info.Config.Retention == nats.WorkQueuePolicy {
			continue
		}
		sub, err := js.SubscribeSync("", nats.BindStream(info.Config.Name), nats.OrderedConsumer(), nats.DeliverAll())
		if err != nil {
			t.Fatalf("%s: %v", info.Config.Name, err)
		}
		for {
			m, err := sub.NextMsg(5 * time.Second)
			if err != nil {
				t.Fatalf("%s: %v", info.Config.Name, err)
			}
			fn(m)
			if meta, err := m.Metadata(); err != nil || meta.NumPending == 0 {
				break
			}
		}
		_ = sub.Unsubscribe()
	}
	if streams < 11 {
		t.Errorf("only %d streams were found", streams)
	}
}

func cloudEvents(t *testing.T, s *system) {
	n, validated, types := 0, 0, map[string]int{}
	eachMessage(t, s, func(m *nats.Msg) {
		e, err := event.Read(m.Header, m.Data)
		if err != nil {
			t.Errorf("%s: %v", m.Subject, err)
			return
		}
		n++
		types[e.Type()]++
		data := m.Data
		if !strings.HasPrefix(m.Subject, "hr.team.") && !strings.HasPrefix(m.Subject, "hr.key.") { // a wrapped key is bytes
			if data, err = seal.Head(m.Data); err != nil {
				t.Errorf("%s: %v", m.Subject, err)
			}
			if strings.HasPrefix(m.Subject, "hr.employee.") {
				return // its clear head is not what the schema of the type describes
			}
		}
		if slices.Contains(schemas.Names(), e.Type()) && !strings.HasPrefix(m.Subject, "hr.audit.") {
			validated++
			if err := schemas.Validate(e.Type(), data); err != nil {
				t.Errorf("%s: %v", m.Subject, err)
			}
		}
		if strings.HasPrefix(m.Subject, "hr.team.") {
			for _, attribute := range []string{"sequence", "partitionkey", "traceparent"} {
				if e.Extensions()[attribute] == nil {
					t.Errorf("%s has no ce-%s", m.Subject, attribute)
				}
			}
			if e.Subject() == "" || e.Time().IsZero() || e.DataSchema() == "" {
				t.Errorf("%s has not all attributes of a team's event", m.Subject)
			}
		}
	})
	t.Logf("%d messages, %d of them of a type with a schema: %v", n, validated, types)
	if validated < n/4 {
		t.Errorf("only %d of %d messages were held against a schema", validated, n)
	}
	for _, typ := range []string{event.RecordReceivedV1, event.RecordLinkedV1, event.RecordStatedV1, event.EmployeePreboardedV1, event.EmployeeUpdatedV1, event.EmployeeTerminatedV1,
		event.DeliveryIntendedV1, event.DeliveryCompletedV1, event.MatchReservedV1, event.LeaverNotedV1, event.KeyWrappedV1} {
		if types[typ] == 0 {
			t.Errorf("no message of type %s was seen", typ)
		}
	}
}

func timeline(t *testing.T, s *system, id string) {
	type entry struct {
		At                                  time.Time
		Kind, Type, Source, Target, Outcome string
		Fields                              []string
		TraceID                             string `json:"trace_id"`
	}
	var page struct {
		Items []entry `json:"items"`
	}
	s.until("the whole timeline", 15*time.Second, func() bool {
		page.Items = nil
		s.api("/employees/"+id+"/timeline?limit=500", &page)
		return slices.ContainsFunc(page.Items, func(i entry) bool { return i.Kind == "change" && i.Type == event.EmployeeTerminatedV1 })
	})
	kinds := map[string]int{}
	var last time.Time
	for _, i := range page.Items {
		kinds[i.Kind]++
		if i.At.Before(last) {
			t.Errorf("an entry of %s comes after one of %s", i.At, last)
		}
		last = i.At
		if i.TraceID == "" {
			t.Errorf("a %s at %s has no trace", i.Kind, i.At)
		}
	}
	for _, k := range []string{"record", "change", "delivery"} {
		if kinds[k] == 0 {
			t.Errorf("no %s in %v", k, kinds)
		}
	}
}
