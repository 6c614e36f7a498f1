// Package fake is a Workday tenant with memory: people are hired, moved, paid,
// ended and hired again in its screens, each entry on a day of effect, and one
// report as a web service shows the state as of a day and a moment.
//
// Settings: "user" and "password" (the only ones accepted; unset: any),
// "client_id", "client_secret" and "refresh_token" (the same for OAuth),
// "as_of_prompt" (default Effective_as_of_Date), "moment_prompt" (default
// Entry_Moment), "since_prompt" (default Changed_Since: only those of whom
// something was entered at or after that moment), "hidden_columns" (with commas:
// the user may not see them), "rate" (calls per second; unset: no end),
// "positions" ("true": the report is built on positions, a row for each).
package fake

import (
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/muster-hr/muster/libs/connector/fake"
)

type tenant struct {
	o   fake.Options
	log fake.Log

	mu     sync.Mutex
	people []*worker
	tokens map[string]bool
	next   int
	second time.Time
	calls  int
}

// worker is a person with everything that was ever entered about him.
type worker struct {
	wid, number string
	entries     []entry
}

// entry sets columns from a day on; an empty text clears. taken says which one
// before it no longer holds.
type entry struct {
	effective string
	at        time.Time
	columns   map[string]string
	taken     int // index of an entry that this one takes back, -1
}

var _ fake.Vendor = (*tenant)(nil)

// New makes a tenant without people.
func New(o fake.Options) fake.Vendor {
	return &tenant{o: o, tokens: map[string]bool{}, next: 21000}
}

// Log is the memory that the sandbox shows: people by WID.
func (v *tenant) Log() *fake.Log { return &v.log }

// Do plays the HR partner. Days are days of effect; without one it is today.
//
//	hire       {"given", "family", "start", "title", "department", "location", "salary", "currency", "manager", "work_email"} → {"id": WID}
//	raise      {"id", "amount", "effective"}
//	move       {"id", "title", "department", "location", "manager", "effective"}
//	terminate  {"id", "date", "last_day", "reason"}
//	rescind    {"id"}: the newest termination is taken back
//	rehire     {"id", "start", "title", …}
//	leave      {"id", "effective"}
//	return     {"id", "effective"}
//
// hire also takes "number", "preferred", "birth_date" and "type". All give {"id"}.
func (v *tenant) Do(_ context.Context, verb string, args map[string]any) (map[string]any, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var w *worker
	var err error
	switch verb {
	case "hire":
		w, err = v.hire(args)
	case "raise", "move", "terminate", "rescind", "rehire", "leave", "return":
		i := slices.IndexFunc(v.people, func(w *worker) bool { return w.wid == text(args, "id") })
		if i < 0 {
			return nil, errors.New(verb + ": no such worker")
		}
		w = v.people[i]
		err = v.change(w, verb, args)
	default:
		return nil, fake.ErrUnknownVerb(verb)
	}
	if err != nil {
		return nil, err
	}
	person := map[string]any{}
	for name, value := range w.as(v.today(), v.o.Time()) {
		person[name] = value
	}
	v.log.Put(w.wid, person)
	return map[string]any{"id": w.wid, "number": w.number}, nil
}

func (v *tenant) today() string { return v.o.Time().Format(time.DateOnly) }

// ServeHTTP serves the report and the token endpoint.
func (v *tenant) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case v.limited():
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	case len(path) == 4 && path[1] == "oauth2" && path[3] == "token" && r.Method == http.MethodPost:
		v.token(w, r)
	case len(path) != 6 || path[2] != "customreport2" || r.Method != http.MethodGet:
		w.WriteHeader(http.StatusNotFound)
	case !v.known(r):
		w.Header().Set("WWW-Authenticate", `Basic realm="Workday"`)
		w.WriteHeader(http.StatusUnauthorized)
	default:
		v.report(w, r)
	}
}

// limited counts calls in seconds of the fake's clock.
func (v *tenant) limited() bool {
	limit, err := strconv.Atoi(v.o.Settings["rate"])
	if err != nil {
		return false
	}
	if now := v.o.Time().Truncate(time.Second); !now.Equal(v.second) {
		v.second, v.calls = now, 0
	}
	v.calls++
	return v.calls > limit
}

func (v *tenant) is(setting, got string) bool {
	want := v.o.Settings[setting]
	return got != "" && (want == "" || want == got)
}

func (v *tenant) known(r *http.Request) bool {
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return v.tokens[bearer]
	}
	user, password, ok := r.BasicAuth()
	return ok && v.is("user", user) && v.is("password", password)
}

// token answers a refresh. A new access token ends those before it, so that a
// caller that does not renew is found out.
func (v *tenant) token(w http.ResponseWriter, r *http.Request) {
	id, secret, ok := r.BasicAuth()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case !ok || !v.is("client_id", id) || !v.is("client_secret", secret):
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":"invalid_client"}`))
	case r.PostFormValue("grant_type") != "refresh_token" || !v.is("refresh_token", r.PostFormValue("refresh_token")):
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
	default:
		v.next++
		access := fmt.Sprint("access-", v.next)
		v.tokens = map[string]bool{access: true}
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 3600, "refresh_token": r.PostFormValue("refresh_token")})
	}
}

// report writes everybody as of the day and the moment of the prompts.
func (v *tenant) report(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	prompt := func(setting, name, fallback string) string {
		return cmp.Or(q.Get(cmp.Or(v.o.Settings[setting], name)), fallback)
	}
	asOf := prompt("as_of_prompt", "Effective_as_of_Date", v.today())
	moment, errMoment := time.Parse(time.RFC3339, prompt("moment_prompt", "Entry_Moment", v.o.Time().Format(time.RFC3339Nano)))
	since, errSince := time.Parse(time.RFC3339, prompt("since_prompt", "Changed_Since", "0001-01-01T00:00:00Z"))
	if _, err := time.Parse(time.DateOnly, asOf); err != nil || errMoment != nil || errSince != nil || q.Get("format") != "json" {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"Invalid prompt value"}`))
		return
	}
	hidden := strings.Split(v.o.Settings["hidden_columns"], ",")
	rows := []map[string]any{}
	for _, p := range v.people {
		columns := p.as(asOf, moment)
		if columns == nil || !p.entered(since, moment) {
			continue
		}
		for _, h := range hidden {
			delete(columns, h)
		}
		rows = append(rows, v.rows(columns)...)
	}
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	out := json.NewEncoder(w)
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer func() { _ = z.Close() }() // the caller is gone if this fails
		out = json.NewEncoder(z)
	}
	_ = out.Encode(map[string]any{"Report_Entry": rows})
}

// rows are one row with a group of positions, or one for each position.
func (v *tenant) rows(columns map[string]string) []map[string]any {
	row := map[string]any{}
	for name, value := range columns {
		if !strings.HasPrefix(name, "_") && value != "" { // empty columns are left out
			row[name] = value
		}
	}
	position := map[string]any{"Position_ID": "P-" + columns["Employee_ID"], "Business_Title": columns["_title"], "Is_Primary": "1"}
	if columns["_title"] == "" {
		return []map[string]any{row}
	}
	if v.o.Settings["positions"] != "true" {
		row["All_Positions_group"] = []any{position}
		return []map[string]any{row}
	}
	second := map[string]any{}
	for name, value := range row {
		second[name] = value
	}
	row["Position_ID"], row["Business_Title"] = position["Position_ID"], columns["_title"]
	second["Position_ID"], second["Business_Title"] = "P-X"+columns["Employee_ID"], "Fire Warden"
	return []map[string]any{row, second}
}
