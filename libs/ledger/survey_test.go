package ledger_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/ledger"
	"github.com/muster-hr/muster/libs/survey"
	"github.com/muster-hr/muster/libs/topology"
)

// response is the record of one of SURVEYS.
func response(seq uint64, id, employee string, answers ...survey.Answer) ledger.Record {
	return change(topology.Surveys, seq, func(r *ledger.Record) {
		r.Kind, r.Employee, r.KeyToken, r.Source = ledger.KindRecord, employee, id, "pulse"
		status := "linked"
		if employee == "" {
			status = "unlinked"
		}
		r.Answers = &ledger.Answers{Status: status, LinkedBy: "email", AcceptedAt: noon, Response: survey.Response{
			Survey: "f1", Response: "vendors-own-" + id, SubmittedAt: noon.Add(time.Duration(seq) * time.Minute), Employee: employee, Answers: answers,
		}}
	})
}

func put(t *testing.T, l *ledger.Ledger, stream string, rs ...ledger.Record) {
	t.Helper()
	if _, err := l.Append(t.Context(), stream, rs); err != nil {
		t.Fatal(err)
	}
}

// What stands in the table of every kind of answer: numbers to reckon with, and
// nobody's own words.
func TestFacts(t *testing.T) {
	l, conn := open(t)
	one, seven := 1, 7
	answers := []survey.Answer{
		{Question: "enps", Kind: survey.ENPS, Value: json.Number("0")}, {Question: "mgr", Kind: survey.Scale, Value: json.Number("4"), Min: &one, Max: &seven},
		{Question: "pay", Kind: survey.Number, Value: json.Number("12.50")}, {Question: "stay", Kind: survey.YesNo, Value: false},
		{Question: "from", Kind: survey.Date, Value: "2024-02-29"}, {Question: "shirt", Kind: survey.Choice, Value: "L\x00"},
		{Question: "perks", Kind: survey.Choices, Value: []any{"Bike", "Bus"}}, {Question: "none", Kind: survey.Choices, Value: []any{}},
		{Question: "own", Kind: survey.Choice, Value: "Zofia", Own: true}, {Question: "owns", Kind: survey.Choices, Value: []any{"Bike", "Zofia"}, Own: true},
		{Question: "text", Kind: survey.Text, Value: "Zofia", Comment: "Zofia"}, {Question: "huge", Kind: survey.Number, Value: json.Number("1e999999")},
		{Question: "tiny", Kind: survey.Number, Value: json.Number("1e-99999")}, {Question: "odd", Kind: survey.ENPS, Value: "Zofia"},
		{Question: "day", Kind: survey.Date, Value: "Zofia"}, {Question: "label", Kind: survey.Choice, Value: json.Number("3")}, {Question: "what", Kind: "Zofia?", Value: "Zofia"},
	}
	put(t, l, topology.Surveys, response(1, "r1", "emp1", answers...))
	rows, err := conn.Query(t.Context(), `SELECT question || ' ' || coalesce(value::text, 'null') || ' ' || coalesce(number::text, 'null') || ' ' || coalesce(low || '-' || high, '')
		FROM survey_facts WHERE employee = 'emp1' AND response = 'r1' AND survey = 'f1' ORDER BY part`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		got = append(got, s)
	}
	want := []string{
		"enps 0 0 ", "mgr 4 4 1-7", "pay 12.5 12.5 ", "stay false null ", `from "2024-02-29" null `, `shirt "L" null `, `perks ["Bike", "Bus"] null `, "none [] null ",
		"own null null ", "owns null null ", "text null null ", "huge null null ", "tiny 0 0 ", "odd null null ", "day null null ", "label null null ", "what null null ",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// The list: newest first, in pages, narrowed; linked later it is the same entry;
// who is erased takes theirs along and nobody else's.
func TestResponses(t *testing.T) {
	l, conn := open(t)
	enps := survey.Answer{Question: "enps", Kind: survey.ENPS, Value: json.Number("9")}
	put(t, l, topology.Surveys, response(1, "r1", "", enps), response(2, "r2", "emp2", enps, enps), response(3, "r3", ""))
	put(t, l, topology.Surveys, response(3, "r3", ""), response(4, "r1", "emp1", enps)) // a batch that comes again, and one that is linked now
	ids := func(w ledger.Which, limit int) (out []string) {
		for after, first := "", true; first || after != ""; first = false {
			page, next, err := l.Surveys(t.Context(), w, limit, after)
			if err != nil || len(page) > limit {
				t.Fatal(len(page), err)
			}
			for _, r := range page {
				who := "nobody"
				if r.Employee != nil {
					who = *r.Employee
				}
				out = append(out, fmt.Sprintf("%s %s %s %d", r.ID, r.Status, who, len(r.Answers)))
			}
			after = next
		}
		return out
	}
	one, two, three := "r1 linked emp1 1", "r2 linked emp2 2", "r3 unlinked nobody 0"
	for i, c := range []struct {
		w    ledger.Which
		want []string
	}{
		{ledger.Which{}, []string{three, two, one}}, {ledger.Which{Status: "unlinked"}, []string{three}}, {ledger.Which{Employee: "emp1"}, []string{one}},
		{ledger.Which{Survey: "f1", Status: "linked"}, []string{two, one}}, {ledger.Which{Survey: "f2"}, nil},
	} {
		for _, limit := range []int{1, 2, 100} {
			if got := ids(c.w, limit); fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("list %d by %d: %v, want %v", i, limit, got, c.want)
			}
		}
	}
	r, err := l.Survey(t.Context(), "r1")
	if err != nil || r.Survey != "f1" || r.Source != "pulse" || !r.ReceivedAt.Equal(noon) || len(r.Answers) != 1 || r.Answers[0].Value != 9.0 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := l.Survey(t.Context(), "vendors-own-r1"); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("the vendor's own id: %v", err)
	}
	if _, _, err := l.Surveys(t.Context(), ledger.Which{}, 1, "x"); !errors.Is(err, ledger.ErrCursor) {
		t.Errorf("a foreign cursor: %v", err)
	}

	put(t, l, topology.People, change(topology.People, 1, func(r *ledger.Record) { r.Kind, r.Employee = ledger.KindErased, "emp2" }))
	if got := ids(ledger.Which{}, 10); fmt.Sprint(got) != fmt.Sprint([]string{three, one}) {
		t.Errorf("after erasing: %v", got)
	}
	var left int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM survey_facts WHERE employee = 'emp2' OR response = 'r2'`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d facts are left (%v)", left, err)
	}
	put(t, l, topology.Surveys, response(5, "r5", "emp2", enps)) // read after the erasure, said before it
	if got := ids(ledger.Which{}, 10); fmt.Sprint(got) != fmt.Sprint([]string{three, one}) {
		t.Errorf("answers of somebody erased are back: %v", got)
	}
	if _, err := l.VerifyChain(t.Context()); err != nil {
		t.Error(err)
	}
}
