package pipeline

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/survey"
	"github.com/muster-hr/muster/libs/topology"
)

const pulseMapping = `
custom: {shirt: basic}
fields:
  name.preferred: answers[question=preferred].value
  custom.shirt: {from: 'answers[question=shirt].value', map: {Small: S, Large: L}, else: fail}
`

// surveys adds a survey account, with or without a mapping.
func (w *world) surveys(text string) {
	src := &config.Source{Account: config.Account{Name: "pulse", Type: connector.Type{Survey: true}}}
	if text != "" {
		src.Mapping = mapping.MustParse("pulse.yaml", []byte(text), mapping.Options{Source: "pulse"})
		w.company.Custom = employee.CustomClasses{"shirt": employee.Basic}
	}
	w.company.Sources["pulse"] = src
	w.company.Authority.Default = append(w.company.Authority.Default, "pulse")
}

var submitted = time.Date(2026, 6, 15, 15, 0, 0, 0, time.UTC)

// answer stores a response in RAW; a nil respondent makes it anonymous.
func (w *world) answer(id string, after time.Duration, r *survey.Respondent, answers map[string]string) uint64 {
	w.Helper()
	when := submitted.Add(after)
	sheet := survey.Response{Survey: "f1", Response: id, SubmittedAt: when, Respondent: r, Anonymous: r == nil, Answers: []survey.Answer{{Question: "enps", Kind: survey.ENPS, Value: 0}}}
	for q, v := range answers {
		sheet.Answers = append(sheet.Answers, survey.Answer{Question: q, Kind: survey.Text, Value: v})
	}
	body, err := json.Marshal(sheet)
	if err != nil {
		w.Fatal(err)
	}
	return w.send(func() (record.Message, error) {
		return w.codec.Receive(w.Context(), "pulse", connector.Record{Key: id, ID: id, Event: "form_response", Version: at(when.Format(time.RFC3339Nano)), Body: body}, w.clock.Now())
	})
}

// kept is what stands on SURVEYS of a response, and how many messages.
func (w *world) kept(id string) (a record.Answered, r survey.Response, n int) {
	w.Helper()
	token := w.token("pulse", id)
	err := w.bus.Each(w.Context(), topology.Surveys, topology.Survey("f1", token), func(in bus.In) (err error) {
		n++
		a, r, err = w.codec.OpenAnswered(w.Context(), token, in.Event)
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return a, r, n
}

func (w *world) whose(id, status, employee, by string) {
	w.Helper()
	a, r, n := w.kept(id)
	if n == 0 || a.Status != status || a.Employee != employee || a.LinkedBy != by || r.Employee != employee || r.Response != id || len(r.Answers) == 0 {
		w.Errorf("response %s: %d messages, %s of %q by %q (%+v), want %s of %q by %q", id, n, a.Status, a.Employee, a.LinkedBy, r, status, employee, by)
	}
}

// A response is linked by what it names, and makes nobody.
func TestWhoseResponseItIs(t *testing.T) {
	w := newWorld(t)
	w.surveys("")
	w.say(said{source: "ats", key: "117", id: "1", body: says{"number": "0042", "email": "Ada@acme.example"}})
	w.say(said{source: "ats", key: "118", id: "2", body: says{"number": "0043"}})
	w.say(said{source: "desk", key: "118", id: "3", body: says{"number": "0044"}})
	w.works()
	ada := w.id("ats", "117")
	people := w.people()

	w.answer("by-our-id", 0, &survey.Respondent{ExternalID: ada}, nil)
	w.answer("by-key", 0, &survey.Respondent{ExternalID: "ats:117"}, nil)
	w.answer("by-key-alone", 0, &survey.Respondent{ExternalID: " 117 "}, nil)
	w.answer("by-number-as-id", 0, &survey.Respondent{ExternalID: "0042"}, nil)
	w.answer("by-number", 0, &survey.Respondent{EmployeeNumber: "0042"}, nil)
	w.answer("by-email", 0, &survey.Respondent{Email: "ada@ACME.example"}, nil)
	w.answer("two-people", 0, &survey.Respondent{ExternalID: "118"}, nil)
	w.answer("which-of-two", 0, &survey.Respondent{ExternalID: "desk:118"}, nil)
	w.answer("nobody", 0, &survey.Respondent{Email: "eve@acme.example"}, nil)
	w.answer("anonymous", 0, nil, map[string]string{"mail": "ada@acme.example"})
	w.works()

	w.whose("by-our-id", record.AnswersLinked, ada, "id")
	w.whose("by-key", record.AnswersLinked, ada, "external_id")
	w.whose("by-key-alone", record.AnswersLinked, ada, "external_id")
	w.whose("by-number-as-id", record.AnswersLinked, ada, "employee_number")
	w.whose("by-number", record.AnswersLinked, ada, "employee_number")
	w.whose("by-email", record.AnswersLinked, ada, "email")
	w.whose("two-people", record.AnswersUnlinked, "", "")
	w.whose("which-of-two", record.AnswersLinked, w.id("desk", "118"), "external_id")
	w.whose("nobody", record.AnswersUnlinked, "", "")
	w.whose("anonymous", record.AnswersAnonymous, "", "")
	if n := w.people(); n != people {
		t.Errorf("responses wrote %d messages to PEOPLE", n-people)
	}
	if d := w.letters(); len(d) != 0 {
		t.Errorf("dead letters %+v", d)
	}
	if s := w.log.String(); strings.Contains(s, "acme.example") {
		t.Errorf("the log shows a value: %s", s)
	}
	// Linked ones are sealed under the employee's keys, the others under their own.
	for id, owner := range map[string]string{"by-email": ada, "anonymous": w.token("pulse", "anonymous")} {
		in, err := w.bus.Last(t.Context(), topology.Surveys, topology.Survey("f1", w.token("pulse", id)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.codec.Sealer.Open(t.Context(), owner, in.Event.ID()+"|"+in.Event.Type(), in.Event.Data(), "restricted"); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// A response that comes again, pushed or polled, before or after a restart,
// changes nothing.
func TestAResponseIsTakenOnce(t *testing.T) {
	w := newWorld(t)
	w.surveys(pulseMapping)
	w.say(said{source: "ats", key: "1", id: "1", body: says{"number": "1"}})
	ada := w.id("ats", "1")
	for range 2 {
		w.answer("r", 0, &survey.Respondent{EmployeeNumber: "1"}, map[string]string{"preferred": "Ada"})
		w.answer("anonymous", 0, nil, nil)
	}
	w.works()
	w.answer("r", 0, &survey.Respondent{EmployeeNumber: "1"}, map[string]string{"preferred": "Ada"})
	w.works()
	for _, id := range []string{"r", "anonymous"} {
		if _, _, n := w.kept(id); n != 1 {
			t.Errorf("%s stands there %d times", id, n)
		}
	}
	if got := w.verbs(ada); got != "updated updated" {
		t.Errorf("log: %s", got)
	}
	if n := w.outcome("repeated"); n != 3 {
		t.Errorf("%d repeats were counted, want 3", n)
	}
}

// With a mapping a response is a partial word about the one who gave it: of two
// the later one holds, and what was not asked for stays.
func TestAnswersThatSetFields(t *testing.T) {
	w := newWorld(t)
	w.surveys(pulseMapping)
	w.say(said{source: "ats", key: "1", id: "1", body: says{"number": "1", "given": "Adelaide"}})
	ada, who := w.id("ats", "1"), &survey.Respondent{EmployeeNumber: "1"}
	w.answer("second", time.Hour, who, map[string]string{"preferred": "Ada", "shirt": "Large"})
	w.answer("first", 0, who, map[string]string{"preferred": "Addie", "shirt": "Small"}) // the webhook was late
	w.answer("third", 2*time.Hour, who, map[string]string{"shirt": "small"})
	w.answer("nothing", 3*time.Hour, who, nil)
	w.answer("misfit", 4*time.Hour, who, map[string]string{"shirt": "Zoltan"})
	w.answer("stranger", 0, &survey.Respondent{EmployeeNumber: "2"}, map[string]string{"shirt": "Large"})
	w.answer("anonymous", 5*time.Hour, nil, map[string]string{"preferred": "Nobody"})
	w.works()

	w.expect(ada, employee.Flat{"name.given": "Adelaide", "name.preferred": "Ada", "custom.shirt": "S"})
	if s := w.state(ada); s.Provenance["custom.shirt"].Source != "pulse" || s.Provenance["name.given"].Source != "ats" {
		t.Errorf("provenance %+v", s.Provenance)
	}
	if got := w.verbs(ada); got != "updated updated updated" {
		t.Errorf("log: %s", got)
	}
	if n := w.outcome("late"); n != 1 {
		t.Errorf("%d late responses", n)
	}
	// Answers are kept, whatever the mapping makes of them.
	for _, id := range []string{"first", "second", "third", "nothing", "misfit"} {
		w.whose(id, record.AnswersLinked, ada, "employee_number")
	}
	w.whose("stranger", record.AnswersUnlinked, "", "")
	letters := w.letters()
	if len(letters) != 1 {
		t.Fatalf("dead letters %+v", letters)
	}
	for _, d := range letters {
		if d.Source != "pulse" || d.Key != "misfit" || strings.Contains(d.Path+d.Rule+d.Reason, "Zoltan") {
			t.Errorf("dead letter %+v", d)
		}
	}
}

// A response may come before the one who gave it is known, by number or by key.
func TestAResponseBeforeItsPerson(t *testing.T) {
	w := newWorld(t)
	w.surveys(pulseMapping)
	w.answer("number", 0, &survey.Respondent{EmployeeNumber: "7"}, map[string]string{"preferred": "Ada"})
	w.answer("key", 0, &survey.Respondent{ExternalID: "ats:7"}, map[string]string{"shirt": "Large"})
	w.answer("key", 0, &survey.Respondent{ExternalID: "ats:7"}, map[string]string{"shirt": "Large"})
	w.answer("other", 0, &survey.Respondent{EmployeeNumber: "8"}, nil)
	w.answer("anonymous", 0, nil, nil)
	w.works()
	w.whose("number", record.AnswersUnlinked, "", "")

	stop := w.start() // another process: what waits is read from SURVEYS
	w.say(said{source: "ats", key: "7", id: "1", body: says{"number": "7", "given": "Adelaide"}})
	ada := w.id("ats", "7")
	w.eventually(func() string {
		if a, _, _ := w.kept("number"); a.Employee != ada {
			return "the response is not linked\n" + w.log.String()
		}
		if a, _, _ := w.kept("key"); a.Employee != ada {
			return "the response is not linked\n" + w.log.String()
		}
		return ""
	})
	w.eventually(func() string {
		if f := w.state(ada).Fields; f["name.preferred"] != "Ada" || f["custom.shirt"] != "L" {
			return "what it says is not merged\n" + w.log.String()
		}
		return ""
	})
	stop()
	w.whose("number", record.AnswersLinked, ada, "employee_number")
	w.whose("key", record.AnswersLinked, ada, "external_id")
	w.whose("other", record.AnswersUnlinked, "", "")
	w.whose("anonymous", record.AnswersAnonymous, "", "")
	if _, _, n := w.kept("number"); n != 2 {
		t.Errorf("%d messages, want one unlinked and one linked", n)
	}
	w.works() // nothing is left to do
	if _, _, n := w.kept("number"); n != 2 {
		t.Errorf("%d messages after a restart", n)
	}
}

// A response that does not open just when its person becomes known is not
// passed over: the session starts again and finds it.
func TestAResponseThatDoesNotOpenJustNow(t *testing.T) {
	w := newWorld(t)
	w.surveys("")
	w.answer("number", 0, &survey.Respondent{EmployeeNumber: "7"}, nil)
	w.works()
	p := w.hands()
	w.process(p, w.say(said{source: "ats", key: "7", id: "1", body: says{"number": "7"}}))
	token := w.token("pulse", "number")
	w.codec.Sealer.Forget(token)
	damaged := event.New("damaged", "/else", event.KeyWrappedV1, []byte("?"))
	if _, err := w.bus.Publish(t.Context(), topology.Keys, bus.Out{Subject: topology.Key("restricted", token), Event: damaged}); err != nil {
		t.Fatal(err)
	}
	if err := p.linkFound(t.Context(), &committer{p: p}); err == nil {
		t.Error("the response was passed over")
	}
}

// A crash after the answers and before what they say about people: the record
// comes again and the rest is done.
func TestACrashAfterTheAnswers(t *testing.T) {
	w := newWorld(t)
	w.surveys(pulseMapping)
	w.say(said{source: "ats", key: "1", id: "1", body: says{"number": "1"}})
	w.works()
	n := w.answer("r", 0, &survey.Respondent{EmployeeNumber: "1"}, map[string]string{"preferred": "Ada"})
	p := w.hands()
	g := w.process(p, n)
	if len(g.answers) != 1 || len(g.items) != 1 {
		t.Fatalf("%d responses and %d items are staged", len(g.answers), len(g.items))
	}
	if err := p.commitAnswers(t.Context(), g.answers); err != nil {
		t.Fatal(err)
	}
	w.works()
	w.expect(w.id("ats", "1"), employee.Flat{"name.preferred": "Ada"})
	if _, _, n := w.kept("r"); n != 1 {
		t.Errorf("%d messages", n)
	}
	// A second copy that has not seen it is refused.
	late := w.hands()
	late.ix.responses = map[string]*response{}
	g = w.process(late, n)
	if err := late.commitAnswers(t.Context(), g.answers); err == nil {
		t.Error("a copy that is behind wrote a response")
	}
}

// What is not a response is a dead letter, and nobody is made of it.
func TestNoResponse(t *testing.T) {
	w := newWorld(t)
	w.surveys("")
	w.send(func() (record.Message, error) {
		return w.codec.Receive(t.Context(), "pulse", connector.Record{Key: "x", ID: "x", Body: json.RawMessage(`{"survey":"f1"}`)}, w.clock.Now())
	})
	w.works()
	letters := w.letters()
	if len(letters) != 1 || w.people() != 0 {
		t.Fatalf("%d letters, %d messages in PEOPLE", len(letters), w.people())
	}
	for _, d := range letters {
		if d.Reason != "survey" || d.Path != "response" {
			t.Errorf("%+v", d)
		}
	}
}
