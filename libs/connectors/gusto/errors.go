package gusto

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/connector/httpx"
	"github.com/muster-hr/muster/libs/fault"
)

// Reasons that the sink acts on.
const (
	reasonStale    = "stale_version" // the object changed since it was read
	reasonMissing  = "not_found"     // wrong UUID, or not our company's
	reasonCompany  = "company"       // no such company
	reasonRefused  = "invalid_operation"
	reasonRequired = "required"
)

// refusal is one error of an answer. Errors may stand below errors, under
// either name. Messages and metadata may quote a person's values: they are
// used for recognition only and never passed on.
type refusal struct {
	Key      string    `json:"error_key"`
	Category string    `json:"category"`
	Message  string    `json:"message"`
	Errors   []refusal `json:"errors"`
	Nested   []refusal `json:"nested_errors"`
}

// leaves are the innermost errors, each with the way to it.
func leaves(list []refusal, path string, depth int) []refusal {
	var out []refusal
	for _, r := range list {
		if known(r.Key) {
			r.Key = strings.TrimPrefix(path+"."+r.Key, ".")
		} else {
			r.Key = path
		}
		below := append(slices.Clone(r.Errors), r.Nested...)
		if len(below) == 0 || depth == 0 {
			out = append(out, r)
			continue
		}
		inner := leaves(below, r.Key, depth-1)
		for i := range inner {
			if inner[i].Category == "" {
				inner[i].Category = r.Category
			}
		}
		out = append(out, inner...)
	}
	return out
}

// fields are what an error may be about. Any other key could be a value.
var fields = strings.Fields(`email work_email first_name last_name middle_initial preferred_first_name date_of_birth ssn
	self_onboarding version title hire_date rate payment_unit flsa_status effective_date street_1 street_2 city state zip
	location_uuid work_location_uuid filing_status two_jobs dependents_amount other_income deductions extra_withholding
	w4_data_type states questions answers key value company_benefit_uuid active employee_deduction deduct_as_percentage
	contribution run_termination_payroll file_new_hire_report employment_status compensation compensations job jobs
	home_address home_addresses work_address work_addresses employee termination terminations rehire`)

func known(key string) bool { return slices.Contains(fields, key) }

var categoryForm = regexp.MustCompile(`^[a-z][a-z_]{2,39}$`)

// categories are those that Gusto documents; another word could be anything.
var categories = strings.Fields(`invalid_resource_version invalid_attribute_value missing_parameter invalid_parameter
	duplicate_operation invalid_operation payroll_blocker invalid_token missing_permissions invalid_api_version
	deprecated_endpoint not_found rate_limit_exceeded`)

// classify reads the category of the first error: 409 and 404 mean two things
// each, and a missing permission is told with more than one status.
func classify(status int, h http.Header, body []byte, now time.Time) *fault.Error {
	if status < 300 {
		return nil
	}
	f := httpx.Default(status, h, body, now)
	if status == http.StatusTooManyRequests {
		f.After = untilReset(h, now)
		return f
	}
	var answer struct {
		Errors []refusal `json:"errors"`
		Nested []refusal `json:"nested_errors"`
	}
	_ = json.Unmarshal(body, &answer) // what is no JSON has no category
	all := leaves(append(answer.Errors, answer.Nested...), "", 8)
	var first refusal
	if len(all) > 0 {
		first = all[0]
	}
	if categoryForm.MatchString(first.Category) && slices.Contains(categories, first.Category) {
		f.Rule = first.Category
	}
	f.Path = first.Key
	if n := len(all); n > 1 {
		f.Err = fmt.Errorf("answered %d with %d errors", status, n)
	}
	set := func(c fault.Class, reason string) *fault.Error {
		f.Class, f.Reason = c, reason
		return f
	}
	switch {
	case status >= 500 || status < 400:
		return f
	case f.Rule == "missing_permissions":
		return set(fault.Target, "permission")
	case status == http.StatusUnauthorized:
		return set(fault.Target, "auth")
	case status == http.StatusForbidden:
		return set(fault.Target, "permission")
	case status == http.StatusNotAcceptable || f.Rule == "invalid_api_version":
		return set(fault.Target, "api_version")
	case f.Rule == "deprecated_endpoint":
		return set(fault.Target, "api_version")
	case status == http.StatusNotFound:
		return set(fault.Record, reasonMissing)
	case f.Rule == "invalid_resource_version":
		return set(fault.Record, reasonStale)
	case status == http.StatusConflict:
		return set(fault.Transient, "locked") // another request holds the lock
	case f.Rule == "payroll_blocker":
		return set(fault.Record, "payroll_blocker") // until somebody acts in Gusto
	case f.Rule == "invalid_operation" && strings.Contains(first.Message, "already been processed"):
		return set(fault.Record, "processed") // the pay of that day went out
	case f.Rule == "invalid_operation":
		return set(fault.Record, reasonRefused)
	case status == http.StatusUnprocessableEntity:
		return set(fault.Record, "invalid")
	}
	return f
}

// untilReset is Retry-After, else the end of the window by their clock on both
// sides, else the whole window of 60 s.
func untilReset(h http.Header, now time.Time) time.Duration {
	if h.Get("Retry-After") != "" {
		return max(time.Second, fault.RetryAfter(h, now, time.Minute))
	}
	reset, err := time.Parse(time.RFC3339, h.Get("X-RateLimit-Reset"))
	if err != nil {
		return time.Minute
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(time.Second, reset.Sub(now)), time.Hour)
}

// is tells whether an error is the fault of that reason.
func is(err error, reason string) bool { return err != nil && fault.Of(err).Reason == reason }

// wrong is a fault of the record, told before anything was written.
func wrong(reason, path, format string, args ...any) *fault.Error {
	f := fault.New(fault.Record, reason, format, args...)
	f.Path = path
	return f
}
