package moodle

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/connector/httpx"
	"github.com/muster-hr/muster/libs/fault"
)

// Reasons that the sink acts on.
const (
	reasonInvalid = "invalid"   // some value or a duplicate: a site in production does not say which
	reasonExists  = "exists"    // somebody else has it
	reasonMissing = "not_found" // the user is gone
	reasonGroup   = "no_such_group"
	reasonWrite   = "write" // the database refused: worth one more try
)

// maintenance is how long a site that is being worked on is left alone.
const maintenance = 5 * time.Minute

// exception is the body of every error. Message is translated and, like
// debuginfo, quotes values of the person: both are never read.
type exception struct {
	Class string `json:"exception"`
	Code  string `json:"errorcode"`
}

var (
	// code is the form of an error code: a key of a file of texts.
	code   = regexp.MustCompile(`^[a-z][a-z0-9_]{2,49}$`)
	xmlErr = regexp.MustCompile(`<EXCEPTION class="([A-Za-z0-9_\\]+)">\s*<ERRORCODE>([a-z0-9_]+)</ERRORCODE>`)
)

// known are the error codes that say what to do. The warnings of
// core_user_update_users use the same.
var known = map[string]fault.Error{
	"invalidparameter":        {Class: fault.Record, Reason: reasonInvalid},
	"usernamelowercase":       {Class: fault.Record, Reason: "validation", Path: "username"},
	"invalidusername":         {Class: fault.Record, Reason: "validation", Path: "username"},
	"useremailinvalid":        {Class: fault.Record, Reason: "validation", Path: "email"},
	"useremailduplicate":      {Class: fault.Record, Reason: reasonExists, Path: "email"},
	"invaliduserid":           {Class: fault.Record, Reason: reasonMissing},
	"invaliduser":             {Class: fault.Record, Reason: reasonMissing},
	"usernotupdateddeleted":   {Class: fault.Record, Reason: reasonMissing},
	"userdeleted":             {Class: fault.Record, Reason: reasonMissing},
	"usernotupdatedadmin":     {Class: fault.Record, Reason: "administrator"},
	"usernotupdatedguest":     {Class: fault.Record, Reason: "administrator"},
	"usernotupdatedremote":    {Class: fault.Record, Reason: "mastered_elsewhere"},
	"suspended":               {Class: fault.Record, Reason: "suspended"}, // enrols only who is open
	"wsusercannotassign":      {Class: fault.Record, Reason: "enrolment", Path: bodyCourses},
	"wsnoinstance":            {Class: fault.Record, Reason: "enrolment", Path: bodyCourses},
	"wscannotenrol":           {Class: fault.Record, Reason: "enrolment", Path: bodyCourses},
	"wscannotunenrol":         {Class: fault.Record, Reason: "enrolment", Path: bodyCourses},
	"invalidrecord":           {Class: fault.Record, Reason: reasonGroup},
	"invalidrecordunknown":    {Class: fault.Record, Reason: reasonGroup},
	"dmlwriteexception":       {Class: fault.Record, Reason: reasonWrite},
	"dml_write_exception":     {Class: fault.Record, Reason: reasonWrite},
	"invalidtoken":            {Class: fault.Target, Reason: "auth"},
	"accessexception":         {Class: fault.Target, Reason: "permission"},
	"nopermissions":           {Class: fault.Target, Reason: "permission"},
	"sitemaintenance":         {Class: fault.Throttled, Reason: "maintenance", After: maintenance},
	"dbconnectionfailed":      {Class: fault.Transient, Reason: "database"},
	"dmlreadexception":        {Class: fault.Transient, Reason: "database"},
	"dmltransactionexception": {Class: fault.Transient, Reason: "database"},
}

// classes decide where the code says nothing that is known; of a class only the
// last part counts, as newer versions put a namespace in front.
var classes = map[string]fault.Error{
	"required_capability_exception": {Class: fault.Target, Reason: "permission"},
	"webservice_access_exception":   {Class: fault.Target, Reason: "permission"},
	"access_control_exception":      {Class: fault.Target, Reason: "permission"},
	"invalid_parameter_exception":   {Class: fault.Record, Reason: reasonInvalid},
	"dml_write_exception":           {Class: fault.Record, Reason: reasonWrite},
	"dml_connection_exception":      {Class: fault.Transient, Reason: "database"},
	"dml_exception":                 {Class: fault.Transient, Reason: "database"},
	"dml_read_exception":            {Class: fault.Transient, Reason: "database"},
}

// classify reads an answer. Once Moodle's script runs every answer is 200, so a
// success is what is JSON and no exception.
func classify(status int, h http.Header, body []byte, now time.Time) *fault.Error {
	if f := httpx.Default(status, h, body, now); f != nil {
		return f
	}
	body = bytes.TrimSpace(body)
	if bytes.HasPrefix(body, []byte("<")) {
		if m := xmlErr.FindSubmatch(body); m != nil {
			return exception{Class: string(m[1]), Code: string(m[2])}.fault()
		}
		return fault.New(fault.Transient, "answer", "answered %d with a page in place of JSON", status)
	}
	if !bytes.HasPrefix(body, []byte("{")) {
		return nil
	}
	var x exception
	if err := json.Unmarshal(body, &x); err != nil {
		// An object that cannot be read may be an error as well as anything.
		return fault.New(fault.Transient, "answer", "answered %d with an object that is not what was expected", status)
	}
	if x.Class == "" && x.Code == "" {
		return nil
	}
	return x.fault()
}

// fault says what an exception means. What nobody has classified is tried
// again: late, but not lost.
func (x exception) fault() *fault.Error {
	f, ok := known[x.Code]
	if !ok {
		last := x.Class[strings.LastIndexByte(x.Class, '\\')+1:]
		if f, ok = classes[last]; !ok {
			f = fault.Error{Class: fault.Transient, Reason: "exception"}
		}
	}
	if code.MatchString(x.Code) {
		f.Rule = x.Code
	}
	f.Err = fault.New(f.Class, "", "answered 200 with an exception").Err
	return &f
}

// warning is one record of a call that failed while the call went through.
// itemid is a number; a warning of a cohort names nobody.
type warning struct {
	Item   string      `json:"item"`
	ItemID json.Number `json:"itemid"`
	Code   string      `json:"warningcode"`
}

// UnmarshalJSON takes a code that is a number too: an exception that is not
// Moodle's own has one.
func (w *warning) UnmarshalJSON(raw []byte) error {
	var in struct {
		Item   string          `json:"item"`
		ItemID json.RawMessage `json:"itemid"`
		Code   json.RawMessage `json:"warningcode"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return err
	}
	w.Item = in.Item
	w.ItemID = json.Number(strings.Trim(string(in.ItemID), `"`))
	w.Code = strings.Trim(string(in.Code), `"`)
	return nil
}

type warned struct {
	Warnings []warning `json:"warnings"`
}

// is tells whether an error is the fault of that reason.
func is(err error, reason string) bool { return err != nil && fault.Of(err).Reason == reason }

// ended is a context's end as the fault it is everywhere.
func ended(ctx context.Context) error {
	reason := "canceled"
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		reason = "timeout"
	}
	return &fault.Error{Class: fault.Transient, Reason: reason, Err: ctx.Err()}
}
