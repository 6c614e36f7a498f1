package fake

import (
	"context"
	"fmt"
	"net/http"

	"github.com/muster-hr/muster/libs/connector/fake"
)

// Do plays the payroll administrator. All answer {"id"}.
//
//	onboard      {"id"}                     finishes onboarding: no delete any more
//	edit         {"id", "fields": {…}}      changes an employee by hand, and so his version
//	retitle      {"id", "title"}            changes the job by hand
//	process      {"id"}                     runs a payroll with the pay in force
//	terminate    {"id", "last_day"}         ends an employment by hand
//	expire_token {}                         the access token is good no longer
func (v *Vendor) Do(ctx context.Context, verb string, args map[string]any) (map[string]any, error) {
	v.mu.Lock()
	v.events = nil
	id, err := v.act(verb, args)
	events := v.events
	v.mu.Unlock()
	if err != nil {
		return nil, err
	}
	v.emit(ctx, events)
	return map[string]any{"id": id}, nil
}

func (v *Vendor) act(verb string, args map[string]any) (string, error) {
	text := func(name string) string { s, _ := args[name].(string); return s }
	switch verb {
	case "expire_token":
		v.expired = true
		return "", nil
	case "onboard", "edit", "retitle", "process", "terminate":
	default:
		return "", fake.ErrUnknownVerb(verb)
	}
	p := v.person(text("id"))
	if p == nil {
		return "", fmt.Errorf("%s: no such employee", verb)
	}
	q := &request{Request: &http.Request{}, person: p, body: object{}}
	kind := "employee.updated"
	switch verb {
	case "onboard":
		p.onboarded, kind = true, "employee.onboarded"
	case "edit":
		in, _ := args["fields"].(map[string]any)
		if problems := v.set(p, in); len(problems) > 0 {
			return "", fmt.Errorf("edit: %d fields are not valid", len(problems))
		}
	case "retitle":
		if len(p.jobs) == 0 || text("title") == "" {
			return "", fmt.Errorf("retitle: it takes a job and a title")
		}
		p.jobs[0]["title"] = text("title")
		touchJob(p.jobs[0])
	case "process":
		for _, list := range p.pay {
			for i, c := range list {
				if id, _ := c["uuid"].(string); i <= v.inForce(list) {
					p.processed[id] = true
				}
			}
		}
	case "terminate":
		q.body = object{"effective_date": text("last_day")}
		if a := v.terminate(q); a.status != http.StatusCreated {
			return "", fmt.Errorf("terminate: answered %d", a.status)
		}
		return p.id(), nil
	}
	v.log.Put(p.id(), v.view(p))
	v.events = append(v.events, event{kind, "Employee", p.id()})
	return p.id(), nil
}
