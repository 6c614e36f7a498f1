package okta

import (
	"maps"
	"reflect"
	"slices"

	"github.com/muster-hr/muster/libs/connector"
)

// Okta's statuses that lead to a call. PROVISIONED (activated, no password set
// yet) and others are taken as open, and answered for by Okta's refusals.
const (
	staged        = "STAGED"
	active        = "ACTIVE"
	suspended     = "SUSPENDED"
	deprovisioned = "DEPROVISIONED"
)

// step is one lifecycle call and where it leads.
type step struct{ verb, status string }

// lifecycle is the call that brings an account to where the employee's status
// wants it; none when it is there, or when Okta has no way.
//
// A pre-hire's account is never taken back from where it is: Okta has no way
// to STAGED, and a rehire's old account stays closed until the first day.
func lifecycle(status, account string, onTerminated string) (step, bool) {
	switch status {
	case "active":
		switch account {
		case staged, deprovisioned:
			return step{"activate", active}, true
		case suspended:
			return step{"unsuspend", active}, true
		}
	case "leave":
		// Who begins on leave has no access yet, and gets none.
		if account == active {
			return step{"suspend", suspended}, true
		}
	case "terminated", "withdrawn":
		switch {
		case account == deprovisioned:
		case status == "terminated" && onTerminated == "suspend" && account == suspended:
		case status == "terminated" && onTerminated == "suspend" && account == active:
			return step{"suspend", suspended}, true
		default: // who was never active cannot be suspended
			return step{"deactivate", deprovisioned}, true
		}
	}
	return step{}, false
}

// believed is the account's status as we left it. When that was not saved, the
// event tells where the person comes from; any other event left it right.
func believed(d connector.Delivery) string {
	if s := d.Refs[refStatus]; s != "" {
		return s
	}
	switch d.Type {
	case "hr.employee.hired.v1", "hr.employee.preboarded.v1":
		return staged
	case "hr.employee.rehired.v1":
		return deprovisioned
	case "hr.employee.leave_started.v1", "hr.employee.terminated.v1", "hr.employee.withdrawn.v1":
		return active
	case "hr.employee.leave_ended.v1":
		return suspended
	}
	switch d.Status {
	case "pre_hire":
		return staged
	case "leave":
		return suspended
	}
	return active // a leaver is then deactivated, if need be again
}

// changed are the attributes of after that differ from before; null clears one.
func changed(before, after map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range after {
		if old, ok := before[k]; !ok || !reflect.DeepEqual(old, v) {
			out[k] = v
		}
	}
	return out
}

func profile(body map[string]any) map[string]any {
	p, _ := body["profile"].(map[string]any)
	return p
}

func paths(profile map[string]any) []string {
	out := []string{}
	for _, k := range slices.Sorted(maps.Keys(profile)) {
		out = append(out, "profile."+k)
	}
	return out
}
