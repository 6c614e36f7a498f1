package scim

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
	reasonExists      = "exists"      // a unique value is another account's
	reasonMissing     = "not_found"   // no such user
	reasonStale       = "stale"       // somebody changed the user since it was read
	reasonUnsupported = "unsupported" // the server does not have this feature
	reasonConflict    = "conflict"    // 409 that does not say of what
)

// schemaError marks the body of an error (RFC 7644 section 3.12).
const schemaError = "urn:ietf:params:scim:api:messages:2.0:Error"

// problem is the body of an error; servers also send other JSON, HTML and
// nothing. Status is a text by the RFC and a number at some. The detail quotes
// values of the person and is used for recognition only.
type problem struct {
	Schemas []string `json:"schemas"`
	Status  any      `json:"status"`
	Type    string   `json:"scimType"`
	Detail  string   `json:"detail"`
}

// refusals are the words of RFC 7644 table 9, with the reason that is counted.
var refusals = map[string]string{
	"invalidFilter": "invalid_filter", "tooMany": "too_many", "uniqueness": reasonExists,
	"mutability": "read_only", "invalidSyntax": "invalid_syntax", "invalidPath": "invalid_path",
	"noTarget": "no_target", "invalidValue": "invalid_value", "invalidVers": "version", "sensitive": "sensitive",
}

// taken is how servers without scimType say that a value is not free.
var taken = regexp.MustCompile(`(?i)already (exist|taken|in use|used|been taken|registered)|duplicate|not unique|must be unique|uniqueness`)

// classify says what an answer means. The HTTP status decides, and where it is
// too coarse the scimType.
func classify(status int, h http.Header, body []byte, now time.Time) *fault.Error {
	var p problem
	if len(body) > 0 && json.Unmarshal(body, &p) != nil {
		p = problem{}
	}
	if status < 300 {
		if !slices.Contains(p.Schemas, schemaError) {
			return nil
		}
		if status = p.status(); status < 300 { // an error in a success's clothes
			return fault.New(fault.Transient, "answer", "an error was answered as a success")
		}
	}
	f := httpx.Default(status, h, body, now)
	reason, known := refusals[p.Type]
	if known {
		f.Rule = p.Type
	}
	set := func(c fault.Class, reason string) *fault.Error {
		f.Class, f.Reason, f.Path = c, reason, p.attribute()
		return f
	}
	free := !taken.Match(body)
	switch {
	case p.Type == "sensitive":
		return set(fault.Target, "sensitive") // a secret would be in the URL: nothing that a record could mend
	case status == http.StatusConflict && !known && free:
		return set(fault.Record, reasonConflict)
	case status == http.StatusConflict:
		return set(fault.Record, reasonExists)
	case (status == http.StatusBadRequest || status == http.StatusInternalServerError) && (p.Type == "uniqueness" || !known && !free):
		return set(fault.Record, reasonExists)
	case status == http.StatusBadRequest && known:
		return set(fault.Record, reason)
	case status == http.StatusNotFound:
		return set(fault.Record, reasonMissing)
	case status == http.StatusPreconditionFailed:
		return set(fault.Transient, reasonStale)
	case status == http.StatusNotImplemented || status == http.StatusMethodNotAllowed:
		return set(fault.Target, reasonUnsupported)
	}
	return f
}

func (p problem) status() int {
	switch s := p.Status.(type) {
	case string:
		n, _ := strconv.Atoi(s)
		return n
	case float64:
		return int(s)
	}
	return 0
}

// attributes of the core user and the enterprise extension: only these are
// taken from a detail, as any other word in it may be a value.
var attributes = strings.Fields(`userName externalId name name.givenName name.familyName displayName nickName profileUrl
	title userType preferredLanguage locale timezone active emails emails.value phoneNumbers phoneNumbers.value addresses
	employeeNumber costCenter organization division department manager manager.value`)

var quoted = regexp.MustCompile(`['"]([A-Za-z.]{1,40})['"]`)

// attribute is the one that was refused, where the detail names it in quotes.
func (p problem) attribute() string {
	for _, m := range quoted.FindAllStringSubmatch(p.Detail, 4) {
		if slices.Contains(attributes, m[1]) {
			return m[1]
		}
	}
	return ""
}

// is tells whether an error is the fault of that reason.
func is(err error, reason string) bool { return err != nil && fault.Of(err).Reason == reason }

// refuse is an error of the mapping or of our own rules.
func refuse(reason, path, text string) error {
	f := fault.New(fault.Record, reason, "%s", text)
	f.Path = path
	return f
}
