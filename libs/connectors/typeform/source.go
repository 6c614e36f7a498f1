package typeform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/httpx"
	"github.com/muster-hr/muster/libs/fault"
)

// source lists the completed responses of the account's forms.
type source struct {
	reader
	http    *httpx.Client
	forms   []string
	size    int
	overlap time.Duration
	missing error // the form that was not there in the pass that has just ended, which its pages could not say
}

func newSource(a connector.Account) (connector.Source, error) {
	s, err := open(a)
	if err == nil && len(s.forms) == 0 {
		err = errors.New("typeform: set forms to the ids of the forms that are polled")
	}
	return s, err
}

func open(a connector.Account) (*source, error) {
	r, err := newReader(a)
	if err != nil {
		return nil, err
	}
	token := a.Secrets["token"]
	if token.Empty() {
		return nil, errors.New("typeform: the secret token is not set")
	}
	base := a.BaseURL
	if base == "" {
		base = defaultBase
	}
	s := &source{reader: r, forms: slices.Compact(slices.Sorted(slices.Values(a.List("forms")))), size: a.Int("page_size"), overlap: defaultOverlap}
	if s.size < 1 || s.size > 1000 {
		s.size = 1000
	}
	if _, set := a.Settings["overlap"]; set {
		s.overlap = a.Duration("overlap")
	}
	s.http = httpx.New(httpx.Options{
		BaseURL: base, Transport: a.Transport, Now: a.Now, Classify: classify,
		Auth: func(r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+token.Reveal())
			return nil
		},
	})
	return s, nil
}

// classify: a form that is not there, or that the token may not see, is a
// mistake in the account's settings.
func classify(status int, h http.Header, body []byte, now time.Time) *fault.Error {
	f := httpx.Default(status, h, body, now)
	if f != nil && status == http.StatusNotFound {
		f.Class, f.Reason = fault.Target, reasonForm
	}
	return f
}

const reasonForm = "form"

// place is the cursor: per form the time of the newest response that was seen,
// and where a pass that is not finished stands. Responses come newest first, so
// the mark moves only at the end of a pass.
type place struct {
	Marks  map[string]string `json:"marks"`            // form → RFC 3339, to the second
	Form   string            `json:"form,omitempty"`   // the form that is being read; "": a new pass
	Before string            `json:"before,omitempty"` // the token after which its next page begins
	High   string            `json:"high,omitempty"`   // the newest response of it in this pass
	Missed int               `json:"missed,omitempty"` // passes in which a form was not there
}

// Changes reads one page of one form. Forms are read one after the other. One
// that is not there keeps no other from being read: the error follows behind the
// pass, so that it is told and tried again as other failures are. It is called by
// one goroutine.
func (s *source) Changes(ctx context.Context, after connector.Cursor) (connector.Page, error) {
	p := place{Marks: map[string]string{}}
	if after != "" {
		if err := json.Unmarshal([]byte(after), &p); err != nil {
			return connector.Page{}, fault.New(fault.Target, "cursor", "the saved cursor is not one of this connector")
		}
	}
	if p.Marks == nil {
		p.Marks = map[string]string{}
	}
	if err := s.missing; err != nil && p.Form == "" {
		s.missing = nil
		return connector.Page{}, err
	}
	at := slices.Index(s.forms, p.Form)
	if at < 0 { // a new pass, or the form is no longer polled
		at, p.Form, p.Before, p.High = 0, s.forms[0], "", ""
	}
	since := ""
	if t, err := time.Parse(time.RFC3339, p.Marks[p.Form]); err == nil {
		since = t.Add(-s.overlap).UTC().Format(time.RFC3339)
	}
	sheets, err := s.page(ctx, p.Form, since, p.Before)
	if err != nil && fault.Reason(err) != reasonForm {
		return connector.Page{}, err
	}
	if err != nil {
		s.missing, p.High = err, "" // its mark stays where it was
	}
	page := connector.Page{Records: []connector.Record{}, More: true}
	fresh := false
	for _, one := range sheets {
		if rec, keep := s.listed(one, p.Form); keep {
			page.Records = append(page.Records, rec)
		}
		fresh = fresh || one.SubmittedAt >= since
		p.High = max(p.High, one.SubmittedAt)
	}
	if last := len(sheets) - 1; len(sheets) >= s.size && fresh && sheets[last].Token != "" && sheets[last].Token != p.Before {
		p.Before = sheets[last].Token
	} else {
		if t, err := time.Parse(time.RFC3339, p.High); err == nil && t.Year() > 2000 {
			p.Marks[p.Form] = max(p.Marks[p.Form], t.UTC().Format(time.RFC3339)) // never back
		}
		p.Form, p.Before, p.High = "", "", ""
		if at+1 < len(s.forms) {
			p.Form = s.forms[at+1]
		}
		page.More = p.Form != ""
	}
	if !page.More && s.missing != nil {
		p.Missed++
		page.More = true
	}
	next, err := json.Marshal(p)
	page.Next = connector.Cursor(next)
	return page, err
}

// listed makes a record of an entry of the API. What is not completed is not an
// answer yet. An entry that cannot be read goes on as it is: it becomes a dead
// letter where answers are taken in, and keeps no other from coming.
func (r reader) listed(one entry, form string) (connector.Record, bool) {
	if one.Type != "" && one.Type != "completed" {
		return connector.Record{}, false
	}
	one.FormID = form
	rec, err := r.record(one.sheet, "")
	if err != nil || one.broken {
		id := hash(string(one.raw))
		rec = connector.Record{Kind: connector.KindRecord, Key: one.Token, Event: eventResponse, ID: id, Body: one.raw}
		if rec.Key == "" {
			rec.Key = id
		}
	}
	return rec, true
}

func (s *source) page(ctx context.Context, form, since, before string) ([]entry, error) {
	q := url.Values{"page_size": {strconv.Itoa(s.size)}, "response_type": {"completed"}}
	if since != "" {
		q.Set("since", since)
	}
	if before != "" {
		q.Set("before", before)
	}
	a, err := s.http.Do(ctx, httpx.Call{Method: http.MethodGet, Path: "/forms/" + httpx.Segment(form) + "/responses", Template: "/forms/{id}/responses", Query: q})
	if err != nil {
		return nil, fmt.Errorf("form %s: %w", form, err)
	}
	es, isList := entries(a.Body)
	if !isList {
		return nil, fault.New(fault.Transient, "answer", "the answer is no list of responses")
	}
	return es, nil
}

// entry is a sheet with its bytes.
type entry struct {
	sheet
	raw    json.RawMessage
	broken bool // it cannot be read as a sheet
}

// entries reads a page of the API: {"total_items", "page_count", "items": []}.
func entries(body []byte) ([]entry, bool) {
	var page struct {
		Items *[]json.RawMessage `json:"items"`
	}
	if json.Unmarshal(body, &page) != nil || page.Items == nil {
		return nil, false
	}
	out := make([]entry, len(*page.Items))
	for i, raw := range *page.Items {
		out[i].raw = raw
		out[i].broken = json.Unmarshal(raw, &out[i].sheet) != nil
	}
	return out, true
}

// answers opens pages as they were saved.
type answers struct {
	reader
	forms []string
}

func newAnswers(a connector.Account) (connector.Answers, error) {
	r, err := newReader(a)
	return answers{r, a.List("forms")}, err
}

// formLink is where the link that was opened ends with the form's id.
var formLink = regexp.MustCompile(`/to/([A-Za-z0-9]{4,20})(?:[?#].*)?$`)

// OpenAnswer reads a page of responses. A page does not say which form it is
// of: the one that is configured, else the one in a link that was opened.
func (r answers) OpenAnswer(body []byte, _ time.Time) ([]connector.Record, error) {
	es, isList := entries(bytes.Clone(body))
	if !isList {
		return nil, unreadable("items", "the answer is no list of responses")
	}
	form := ""
	if len(r.forms) == 1 {
		form = r.forms[0]
	}
	for _, one := range es {
		if m := formLink.FindStringSubmatch(one.Metadata.Referer); m != nil && form == "" {
			form = m[1]
		}
	}
	out := []connector.Record{}
	for _, one := range es {
		if rec, keep := r.listed(one, form); keep {
			out = append(out, rec)
		}
	}
	return out, nil
}

// check asks for one response of each form.
type check struct{ *source }

func newCheck(a connector.Account) (connector.Check, error) {
	s, err := open(a)
	return check{s}, err
}

// Check tells whether the token may read the responses of every form.
func (c check) Check(ctx context.Context) error {
	one := *c.source
	one.size = 1
	for _, form := range c.forms {
		if _, err := one.page(ctx, form, "", ""); err != nil {
			return err
		}
	}
	return nil
}
