package okta

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/connector/httpx"
	"github.com/muster-hr/muster/libs/fault"
)

// Reasons that the sink acts on.
const (
	reasonExists   = "exists"    // another account has this login
	reasonMissing  = "not_found" // no such user
	reasonStatus   = "status"    // not allowed in the user's current status
	reasonRejected = "validation"
)

// problem is the body of every error. Summaries quote values of the person and
// are used for recognition only, never passed on.
type problem struct {
	Code    string `json:"errorCode"`
	Summary string `json:"errorSummary"`
	ID      string `json:"errorId"`
	Causes  []struct {
		Summary string `json:"errorSummary"`
	} `json:"errorCauses"`
}

var (
	errorCode  = regexp.MustCompile(`^E[0-9]{7}$`)
	errorID    = regexp.MustCompile(`^[A-Za-z0-9_-]{1,40}$`)
	fieldNamed = regexp.MustCompile(`^(?:Api validation failed: )?([A-Za-z][A-Za-z0-9_]{0,60})(?::|$)`)
)

// classify reads Okta's error code, as the same status means different things:
// 403 alone stands for "no permission", "already active", "mastered by another
// system" and "not in this status", and a duplicate is 400.
func classify(status int, h http.Header, body []byte, now time.Time) *fault.Error {
	if status < 300 {
		return nil
	}
	var p problem
	if json.Unmarshal(body, &p) != nil || !errorCode.MatchString(p.Code) {
		return httpx.Default(status, h, body, now) // not Okta, but something before it
	}
	f := httpx.Default(status, h, body, now)
	f.Rule = p.Code
	if errorID.MatchString(p.ID) {
		f.Err = fault.New(f.Class, "", "answered %d, Okta's error id %s", status, p.ID).Err
	}
	set := func(c fault.Class, reason string) *fault.Error {
		f.Class, f.Reason = c, reason
		return f
	}
	switch p.Code {
	case "E0000001":
		f.Path = p.field()
		switch {
		case p.says("already exists"):
			return set(fault.Record, reasonExists)
		case p.says("is not active") || p.says("suspendUser") || p.says("unsuspendUser"):
			return set(fault.Record, reasonStatus)
		}
		return set(fault.Record, reasonRejected)
	case "E0000003", "E0000018", "E0000021", "E0000022":
		return set(fault.Record, "request")
	case "E0000004", "E0000005", "E0000011":
		return set(fault.Target, "auth")
	case "E0000006":
		return set(fault.Target, "permission")
	case "E0000007":
		return set(fault.Record, reasonMissing)
	case "E0000008":
		return set(fault.Target, "path")
	case "E0000009":
		return set(fault.Transient, "internal")
	case "E0000010":
		return set(fault.Transient, "read_only")
	case "E0000016":
		return set(fault.Done, "already_active")
	case "E0000023":
		return set(fault.Record, "mastered_elsewhere")
	case "E0000038":
		return set(fault.Record, reasonStatus)
	case "E0000047":
		f.After = untilReset(h, now)
		return set(fault.Throttled, "rate_limited")
	}
	return f
}

// untilReset is Reset - Date + 1 s, by the vendor's clock on both sides; ours
// may be off. Without the headers it is 10 s.
func untilReset(h http.Header, now time.Time) time.Duration {
	reset, err := strconv.ParseInt(h.Get("X-Rate-Limit-Reset"), 10, 64)
	if err != nil {
		return fault.RetryAfter(h, now, 10*time.Second)
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return max(time.Second, time.Unix(reset, 0).Sub(now)+time.Second)
}

// attributes of Okta's base profile: only these are taken from a summary, as
// any other word in it may be a value.
var attributes = strings.Fields(`city costCenter countryCode department displayName division email employeeNumber
	firstName honorificPrefix honorificSuffix lastName locale login manager managerId middleName mobilePhone nickName
	organization postalAddress preferredLanguage primaryPhone profileUrl secondEmail state streetAddress timezone title
	userType zipCode`)

// field is the profile attribute that was refused, when one is named.
func (p problem) field() string {
	for _, s := range append(p.texts()[1:], p.Summary) {
		if m := fieldNamed.FindStringSubmatch(s); m != nil && slices.Contains(attributes, m[1]) {
			return "profile." + m[1]
		}
	}
	return ""
}

func (p problem) says(words string) bool {
	for _, s := range p.texts() {
		if strings.Contains(s, words) {
			return true
		}
	}
	return false
}

func (p problem) texts() []string {
	out := []string{p.Summary}
	for _, c := range p.Causes {
		out = append(out, c.Summary)
	}
	return out
}

// is tells whether an error is the fault of that reason.
func is(err error, reason string) bool { return err != nil && fault.Of(err).Reason == reason }
