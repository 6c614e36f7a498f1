// Package fake is a Moodle site with memory: users, cohorts, enrolments and
// completions behind the REST web service, with the answers, the hidden causes
// and the silent omissions that the code of Moodle 5 has.
//
// Settings: "token" (the only one accepted; unset: any), "debugging" ("on":
// errors say their cause), "language" ("pl": messages in Polish), "sees"
// ("nobody": lookups leave out everybody, as without the right to see), and
// lists with commas: "cohorts", "courses", "customfields" (those that exist;
// unset: any), "langs" (installed, default "en,pl,de,fr,es"), "functions" (in
// the service; unset: all that are known here). "max_input_vars" is PHP's limit
// of form fields, default 1000.
package fake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/muster-hr/muster/libs/connector/fake"
)

// site is the memory of one site.
type site struct {
	o   fake.Options
	log fake.Log

	mu      sync.Mutex
	users   []*user
	cohorts []*cohort
	lastID  int64
	trace   string // of the call under way
}

// firstID is below the id of the first user.
const firstID = 4710

// New makes a site with nobody in it.
func New(o fake.Options) fake.Vendor {
	v := &site{o: o, lastID: firstID}
	for _, c := range v.listed("cohorts") {
		v.addCohort(c)
	}
	return v
}

// Log is the memory that the sandbox shows.
func (v *site) Log() *fake.Log { return &v.log }

// Do plays the learner.
//
//	complete  {"id", "course"} → {"id"}   finishes a course
func (v *site) Do(_ context.Context, verb string, args map[string]any) (map[string]any, error) {
	if verb != "complete" {
		return nil, fake.ErrUnknownVerb(verb)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	u := v.byID(fmt.Sprint(args["id"]))
	course := fmt.Sprint(args["course"])
	if u == nil || args["course"] == nil {
		return nil, errors.New("complete needs the id of a user and a course")
	}
	u.completed[course] = v.o.Time()
	v.log.Put(u.key(), u.shown())
	return map[string]any{"id": u.key()}, nil
}

// listed is a setting with commas; nil if it is unset.
func (v *site) listed(name string) []string {
	s := v.o.Settings[name]
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// exists tells whether a setting lists a word; unset, everything exists.
func (v *site) exists(name, word string) bool {
	l := v.listed(name)
	return l == nil || slices.Contains(l, word)
}

// problem is an exception as the script answers it.
type problem struct{ class, code, debug string }

func invalid(format string, args ...any) *problem {
	return &problem{"invalid_parameter_exception", "invalidparameter", fmt.Sprintf(format, args...)}
}

// messages that the exchanges show.
var messages = map[string]string{
	"invalidparameter":      "Invalid parameter value detected",
	"pl:invalidparameter":   "Wykryto niepoprawną wartość parametru",
	"usernamelowercase":     "The username must be in lower case",
	"invalidtoken":          "Invalid token - token not found",
	"accessexception":       "Access control exception",
	"useremailduplicate":    "Duplicate email address",
	"useremailinvalid":      "Invalid email address",
	"invaliduserid":         "Invalid user id",
	"suspended":             "Suspended",
	"dmlwriteexception":     "Error writing to database",
	"usernotupdatedadmin":   "Cannot update admin accounts",
	"wsnoinstance":          "Manual enrolment plugin instance doesn't exist or is disabled for the course",
	"invalidrecordunknown":  "Can't find data record in database.",
	"usernotupdateddeleted": "User is a deleted user",
	"invalidusername":       "The username can only contain alphanumeric lowercase characters, underscore, hyphen, period or at symbol",
	"invalidfieldparameter": "Invalid field",
	"nopermissions":         "Sorry, but you do not currently have permissions to do that.",
}

// ServeHTTP is the site. Every answer of the script is 200.
func (v *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/webservice/rest/server.php" {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "<!DOCTYPE html><html><body>Not found</body></html>")
		return
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	in := map[string]any{}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		most, err := strconv.Atoi(v.o.Settings["max_input_vars"])
		if err != nil || most <= 0 {
			most = 1000
		}
		in = parse(r.URL.RawQuery+"&"+string(raw), most)
	}
	v.mu.Lock()
	v.trace = r.Header.Get("Traceparent")
	out, p := v.serve(in)
	v.mu.Unlock()
	if text(in["moodlewsrestformat"]) != "json" {
		v.xml(w, p)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "private, must-revalidate, pre-check=0, post-check=0, max-age=0")
	h.Set("Access-Control-Allow-Origin", "*")
	if p != nil {
		out = v.exception(p)
	}
	_ = json.NewEncoder(w).Encode(out)
}

func (v *site) exception(p *problem) map[string]string {
	out := map[string]string{"exception": p.class, "errorcode": p.code, "message": v.message(p.code)}
	if v.o.Settings["debugging"] == "on" && p.debug != "" {
		out["debuginfo"] = p.debug
	}
	return out
}

func (v *site) message(code string) string {
	if m := messages[v.o.Settings["language"]+":"+code]; m != "" {
		return m
	}
	if m := messages[code]; m != "" {
		return m
	}
	return "error/" + code
}

// xml is what a call without moodlewsrestformat gets.
func (v *site) xml(w http.ResponseWriter, p *problem) {
	w.Header().Set("Content-Type", "application/xml; charset=utf-8")
	w.Header().Set("Content-Disposition", `inline; filename="response.xml"`)
	if p == nil {
		_, _ = io.WriteString(w, `<?xml version="1.0" encoding="UTF-8" ?>`+"\n<RESPONSE>\n</RESPONSE>\n")
		return
	}
	_, _ = fmt.Fprintf(w, "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<EXCEPTION class=\"%s\">\n<ERRORCODE>%s</ERRORCODE>\n<MESSAGE>%s</MESSAGE>\n</EXCEPTION>\n",
		p.class, p.code, v.message(p.code))
}

// serve finds the function. The token is looked at first.
func (v *site) serve(in map[string]any) (any, *problem) {
	want := v.o.Settings["token"]
	if got := text(in["wstoken"]); got == "" || (want != "" && got != want) {
		return nil, &problem{"moodle_exception", "invalidtoken", ""}
	}
	functions := map[string]func(map[string]any) (any, *problem){
		"core_user_get_users_by_field":                 v.lookup,
		"core_user_create_users":                       v.create,
		"core_user_update_users":                       v.update,
		"core_cohort_add_cohort_members":               v.join,
		"core_cohort_delete_cohort_members":            v.leave,
		"core_cohort_search_cohorts":                   v.searchCohorts,
		"enrol_manual_enrol_users":                     v.enrol,
		"enrol_manual_unenrol_users":                   v.unenrol,
		"core_completion_get_course_completion_status": v.completion,
	}
	name := text(in["wsfunction"])
	do := functions[name]
	if do == nil || !v.exists("functions", name) {
		return nil, &problem{"webservice_access_exception", "accessexception", ""}
	}
	return do(in)
}

// wrote notes an effect in the memory that the sandbox shows.
func (v *site) wrote(u *user, op fake.Op, body any) {
	v.log.Put(u.key(), u.shown())
	v.log.Wrote(fake.Write{At: v.o.Time(), Key: u.key(), Op: op, Body: body, Traceparent: v.trace})
}
