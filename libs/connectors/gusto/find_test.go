package gusto

import (
	"net/http"
	"strings"
	"testing"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

func TestLookup(t *testing.T) {
	born := map[string]any{"first_name": "Zoë", "last_name": "O'Brien-Núñez", "date_of_birth": "1991-07-04"}
	for _, c := range []struct {
		name  string
		there map[string]any
		ours  map[string]any
		found int
		sure  bool
	}{
		{"by work e-mail", map[string]any{"first_name": "Z", "last_name": "O'Brien-Núñez", "work_email": "ZOE@alpine.example"}, map[string]any{"last_name": "O'Brien-Núñez", "work_email": "zoe@alpine.example"}, 1, true},
		{"by personal e-mail", map[string]any{"first_name": "Z", "last_name": "O'Brien-Núñez", "email": "zoe@home.example"}, map[string]any{"last_name": "O'Brien-Núñez", "email": "zoe@home.example"}, 1, true},
		{"without an e-mail, born the same day", born, born, 1, true},
		{"another e-mail", over(born, map[string]any{"work_email": "a@x.example"}), over(born, map[string]any{"work_email": "b@x.example"}), 1, false},
		{"no number there", born, over(born, map[string]any{"ssn": "900123401"}), 1, false},
		{"another family name", over(born, map[string]any{"last_name": "Kowalska"}), born, 0, false},
		{"born another day", born, over(born, map[string]any{"date_of_birth": "1991-07-05"}), 0, false},
		{
			"an e-mail that a couple shares", over(born, map[string]any{"first_name": "Ann", "date_of_birth": "1990-01-02", "email": "obrien@home.example"}),
			over(born, map[string]any{"email": "obrien@home.example"}), 0, false,
		},
		{"the e-mail, but born another day", over(born, map[string]any{"email": "zoe@home.example"}), over(born, map[string]any{"email": "zoe@home.example", "date_of_birth": "1991-07-05"}), 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			if code := w.call(t, http.MethodPost, "/v1/companies/"+companyID+"/employees", c.there, nil); code != 201 {
				t.Fatal(code)
			}
			d := hired(map[string]any{"employee": c.ours})
			found, err := w.Find(t.Context(), d)
			if err != nil || len(found) != c.found || c.found > 0 && found[0].Sure != c.sure {
				t.Fatalf("found %+v, %v", found, err)
			}
			if c.ours["first_name"] == nil {
				return
			}
			_, err = w.Apply(t.Context(), d, w.progress)
			if refused := fault.Reason(err) == "exists"; refused != (c.found == 1 && !c.sure) {
				t.Errorf("apply: %v", err)
			}
			if n := len(w.people()); (n == 2) != (c.found == 0) {
				t.Errorf("%d people", n)
			}
		})
	}
}

func TestSearchReadsAllPages(t *testing.T) {
	w := newWorld(t, nil)
	for i := range perPage + 3 {
		mail := strings.Repeat("x", i+1) + "@alpine.example"
		w.call(t, http.MethodPost, "/v1/companies/"+companyID+"/employees", map[string]any{"first_name": "A", "last_name": "Nguyen", "work_email": mail}, nil)
	}
	found, err := w.Find(t.Context(), connector.Delivery{Body: map[string]any{"employee": map[string]any{"last_name": "Nguyen", "work_email": strings.Repeat("x", perPage+2) + "@alpine.example"}}})
	if err != nil || len(found) != 1 || !found[0].Sure {
		t.Errorf("found %v, %v", found, err)
	}
}

func TestGoneFromGusto(t *testing.T) {
	w := newWorld(t, nil)
	d := hired(whole())
	d.Refs = connector.Refs{refID: "11111111-2222"}
	_, err := w.Apply(t.Context(), d, w.progress)
	if f := fault.Of(err); f == nil || f.Class != fault.Record || f.Reason != reasonMissing || len(w.people()) > 0 {
		t.Errorf("a wrong UUID: %v, %d people", err, len(w.people()))
	}
	d.Status = "terminated"
	if r := w.apply(t, d); r.Outcome != "unchanged" {
		t.Errorf("%+v", r)
	}
}
