package fake

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

type object = map[string]any

// hire is an accepted offer: what the recruiter typed, and the vendor's ids.
type hire struct {
	candidate   int64
	application int64
	at          time.Time
	domain      string
	args        map[string]any
}

func (h hire) id() string { return strconv.FormatInt(h.candidate, 10) }

// text is an argument as text, or fallback when it was not given.
func (h hire) text(name, fallback string) string {
	switch v := h.args[name].(type) {
	case nil:
		return fallback
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return fmt.Sprint(v)
	}
}

// number is an argument as a JSON number where it is one, else as given.
func (h hire) number(name string) any {
	s := h.text(name, "")
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return f
	}
	return s
}

// person is what the sandbox shows.
func (h hire) person(status string) map[string]any {
	p := map[string]any{
		"id": h.id(), "application_id": strconv.FormatInt(h.application, 10), "status": status,
		"first_name": h.text("given", ""), "last_name": h.text("family", ""),
	}
	for from, to := range map[string]string{"start": "starts_at", "title": "job", "department": "department", "salary": "salary", "currency": "currency"} {
		if v := h.text(from, ""); v != "" {
			p[to] = v
		}
	}
	return p
}

// hired is the payload of hire_candidate, as documented.
func (h hire) hired() object {
	return object{"application": object{
		"id":            h.application,
		"opening":       object{"opening_id": "OPN-" + h.id(), "custom_fields": []any{}}, // an empty map prints as a list
		"credited_to":   nil,
		"source":        object{"id": 25, "public_name": "Referral"},
		"url":           h.url() + "?application_id=" + strconv.FormatInt(h.application, 10),
		"candidate":     h.candidateBody(),
		"jobs":          []any{h.job("opened_at", "closed_at")},
		"job":           h.job("open_date", "close_date"), // deprecated twin of jobs[0]
		"custom_fields": object{},
		"offer":         h.offer(),
	}}
}

// unhired is the payload of unhire_candidate: no offer, more about the application.
func (h hire) unhired() object {
	return object{"application": object{
		"id": h.application, "status": "active", "prospect": false,
		"rejected_at": nil, "rejection_reason": nil, "rejection_details": nil,
		"applied_at": h.instant(-720 * time.Hour), "last_activity_at": h.instant(0),
		"url":    h.url(),
		"source": object{"id": 25, "public_name": "Referral"}, "credited_to": nil,
		"current_stage": object{"id": 678901, "name": "Offer", "interviews": []any{}},
		"custom_fields": object{},
		"candidate":     h.candidateBody(),
		"jobs":          []any{h.job("opened_at", "closed_at")},
	}}
}

func (h hire) candidateBody() object {
	mail := h.text("personal_email", strings.ToLower(h.text("given", "")+"."+h.text("family", ""))+"@"+h.domain)
	phones := []any{}
	if m := h.text("mobile", ""); m != "" {
		phones = append(phones, object{"value": m, "type": "mobile "}) // trailing blank: documented
	}
	fields := object{}
	if p := h.text("preferred", ""); p != "" {
		fields["preferred_name"] = object{"name": "Preferred Name", "type": "short_text", "value": p}
	}
	return object{
		"id": h.candidate, "first_name": h.text("given", ""), "last_name": h.text("family", ""),
		"title": "Consultant", "company": "Former Employer", // the previous job, not the new one
		"external_id": nil, "url": h.url(), "is_private": false, "can_email": true,
		"phone_numbers": phones,
		"email_addresses": []any{
			object{"value": strings.ReplaceAll(mail, " ", "."), "type": "personal"},
			object{"value": "c" + h.id() + "@formeremployer.example", "type": "work"},
		},
		"addresses": []any{}, "educations": []any{}, "employments": []any{},
		"recruiter": nil, "coordinator": nil, "attachments": []any{},
		"custom_fields": fields,
	}
}

func (h hire) job(opened, closed string) object {
	departments, offices := []any{}, []any{}
	if d := h.text("department", ""); d != "" {
		departments = append(departments, object{"id": 8817, "name": d, "external_id": nil})
	}
	if o := h.text("location", ""); o != "" {
		offices = append(offices, object{"id": 611, "name": o, "location": nil, "external_id": nil})
	}
	return object{
		"id": 4410000 + h.candidate%1000, "name": h.text("title", ""), "requisition_id": "REQ-" + h.id(), "confidential": false,
		opened: h.instant(-2000 * time.Hour), closed: h.instant(0),
		"departments": departments, "offices": offices,
		"custom_fields": object{"employment_type": object{"name": "Employment Type", "type": "single_select", "value": h.text("employment_type", "Full-time")}},
	}
}

func (h hire) offer() object {
	var salary any
	if amount := h.text("salary", ""); amount != "" {
		salary = object{"amount": h.number("salary"), "unit": h.text("currency", "USD")}
	}
	return object{
		"id": 5060000 + h.candidate%100000, "version": 1,
		"created_at": h.instant(-96 * time.Hour), "sent_at": h.at.Add(-72 * time.Hour).Format(time.DateOnly),
		"resolved_at": h.instant(0), "starts_at": h.text("start", ""),
		"custom_fields": object{
			"salary": object{"name": "Salary", "type": "currency", "value": salary,
				"compensation_type": "base", "frequency": "annually", "rationale": ""},
		},
	}
}

func (h hire) url() string { return "https://app.greenhouse.io/people/" + h.id() }

func (h hire) instant(d time.Duration) string {
	return h.at.Add(d).Format("2006-01-02T15:04:05.000Z")
}
