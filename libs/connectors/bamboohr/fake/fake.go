// Package fake is a BambooHR with memory: employees with their history tables,
// the part of the API that the connector uses, and webhooks, signed.
//
//	fake.go      settings, the person in front of the screens (Do)
//	employee.go  one employee: flat fields over dated rows
//	api.go       routes, authentication, limits, errors
//	calls.go     reads and writes of employees and rows
//	hooks.go     webhooks: what fires when, and how it is signed
//
// Settings ([fake.Options].Settings, all texts):
//
//	api_key             the only user name that is accepted; unset: any
//	company_url         host of Location headers, default that of the request
//	email_domain        of work e-mails of people hired here, default northlight.example
//	employee_numbers    "off": none is assigned on create; default from "01001" on
//	forbidden_employees ids that answer 403, comma-separated
//	hidden_fields       fields that are left out without a word, comma-separated
//	hook_before_answer  "false": webhooks go out after the answer; default before it
//	hooks               "event" (default) or "fields", the kind of the webhook
//	limit_status        answer of a limited call: 429 (default) or 503, as before 16 September 2026
//	next_id             id of the first employee, default 4132
//	rate_per_minute     calls per minute before Retry-After; unset: no limit
//	read_only           "true": writes answer 403
package fake

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/muster-hr/muster/libs/connector/fake"
)

// Vendor is the faked account.
type Vendor struct {
	o   fake.Options
	log fake.Log
	mux *http.ServeMux

	mu       sync.Mutex
	people   map[string]*employee
	order    []string // ids, oldest first
	nextID   int
	nextRow  int
	number   int
	hooks    map[string]map[string]any // registered webhooks by id
	nextHook int
	window   time.Time // start of the minute that is counted
	calls    int
}

var _ fake.Vendor = (*Vendor)(nil)

// New makes an empty account.
func New(o fake.Options) fake.Vendor {
	v := &Vendor{
		o: o, people: map[string]*employee{}, hooks: map[string]map[string]any{},
		nextID: 4132, nextRow: 9001, number: 1001, nextHook: 311,
	}
	if n, err := strconv.Atoi(o.Settings["next_id"]); err == nil {
		v.nextID = n
	}
	v.routes()
	return v
}

// Log is the memory that the sandbox shows.
func (v *Vendor) Log() *fake.Log { return &v.log }

func (v *Vendor) today() string { return v.o.Time().Format(time.DateOnly) }

// Do plays a person of the HR department.
//
//	hire      {"given", "family", "start", "title", "department", "salary", "currency"} → {"id"}
//	raise     {"id", "amount", "effective"}
//	move      {"id", "department"}            from today on
//	terminate {"id", "last_day"}              Inactive once that day has passed
//	rehire    {"id", "start"}
//	change    {"id", "fields": {name: value}} any other edit
//	delete    {"id"}
//
// hire also takes "work_email", "location", "division" and "fields". All
// answer {"id"}.
func (v *Vendor) Do(ctx context.Context, verb string, args map[string]any) (map[string]any, error) {
	v.Tick(ctx)
	v.mu.Lock()
	id, events, err := v.act(verb, args)
	v.mu.Unlock()
	if err != nil {
		return nil, err
	}
	v.emit(ctx, events)
	return map[string]any{"id": id}, nil
}

func (v *Vendor) act(verb string, args map[string]any) (string, []event, error) {
	if verb == "hire" {
		return v.hire(args)
	}
	e := v.people[arg(args, "id")]
	switch verb {
	case "raise", "move", "terminate", "rehire", "change", "delete":
		if e == nil {
			return "", nil, fmt.Errorf("%s: no such employee", verb)
		}
	default:
		return "", nil, fake.ErrUnknownVerb(verb)
	}
	switch verb {
	case "delete":
		e.deleted, e.changed = true, v.o.Time()
		v.log.Put(e.id, nil)
		return e.id, []event{{kind: "employee.deleted", id: e.id}}, nil
	case "raise":
		amount, currency := arg(args, "amount"), e.currency(v.today())
		row := map[string]any{"startDate": orElse(arg(args, "effective"), v.today()), "rate": money(amount, currency)}
		return e.id, v.addRow(e, tableCompensation, row), nil
	case "move":
		return e.id, v.addRow(e, tableJob, map[string]any{"date": v.today(), "department": arg(args, "department")}), nil
	case "terminate":
		day := orElse(arg(args, "last_day"), v.today())
		return e.id, v.addRow(e, tableStatus, map[string]any{"date": day, "employmentStatus": "Terminated"}), nil
	case "rehire":
		day := orElse(arg(args, "start"), v.today())
		if e.text("originalHireDate") == "" {
			e.flat["originalHireDate"] = e.flat["hireDate"]
		}
		e.flat["hireDate"] = day
		v.addRow(e, tableStatus, map[string]any{"date": day, "employmentStatus": "Full-Time"})
		v.addRow(e, tableJob, map[string]any{"date": day})
		v.touch(e)
		return e.id, []event{{kind: "employee.updated", id: e.id, fields: []string{"hireDate", "employmentHistoryStatus"}}}, nil
	default: // change
		fields, _ := args["fields"].(map[string]any)
		changed := v.set(e, fields, v.today())
		v.touch(e)
		return e.id, []event{{kind: "employee.updated", id: e.id, fields: changed}}, nil
	}
}

func (v *Vendor) hire(args map[string]any) (string, []event, error) {
	given, family := arg(args, "given"), arg(args, "family")
	if given == "" || family == "" {
		return "", nil, errors.New("hire needs given and family")
	}
	fields := map[string]any{"firstName": given, "lastName": family, "hireDate": orElse(arg(args, "start"), v.today()), "employmentHistoryStatus": "Full-Time"}
	for from, to := range map[string]string{"title": "jobTitle", "department": "department", "location": "location", "division": "division"} {
		if s := arg(args, from); s != "" {
			fields[to] = s
		}
	}
	if salary := arg(args, "salary"); salary != "" {
		fields["payRate"] = salary + " " + orElse(arg(args, "currency"), "USD")
		fields["payType"], fields["paidPer"] = "Salary", "Year"
	}
	fields["workEmail"] = orElse(arg(args, "work_email"), v.freeEmail(given, family))
	if more, ok := args["fields"].(map[string]any); ok {
		for name, value := range more {
			fields[name] = value
		}
	}
	e := v.create(fields)
	return e.id, createdEvents(e.id, fields), nil
}

// freeEmail is given.family@domain, with a number when somebody has it.
func (v *Vendor) freeEmail(given, family string) string {
	local := strings.ToLower(strings.NewReplacer(" ", "", "'", "").Replace(given + "." + family))
	domain := orElse(v.o.Settings["email_domain"], "northlight.example")
	for n := 1; ; n++ {
		mail := local + "@" + domain
		if n > 1 {
			mail = local + strconv.Itoa(n) + "@" + domain
		}
		if !v.emailTaken(mail, "") {
			return mail
		}
	}
}

func (v *Vendor) emailTaken(mail, except string) bool {
	for id, e := range v.people {
		if id != except && !e.deleted && mail != "" && strings.EqualFold(e.text("workEmail"), mail) {
			return true
		}
	}
	return false
}

func arg(args map[string]any, name string) string {
	switch x := args[name].(type) {
	case nil:
		return ""
	case string:
		return x
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	default:
		return fmt.Sprint(x)
	}
}

func orElse(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// setting splits a list among the settings.
func (v *Vendor) setting(name string) map[string]bool {
	set := map[string]bool{}
	for s := range strings.SplitSeq(v.o.Settings[name], ",") {
		if s = strings.TrimSpace(s); s != "" {
			set[s] = true
		}
	}
	return set
}
