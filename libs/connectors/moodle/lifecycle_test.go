package moodle

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/fault"
)

// school is a fake site with a sink before it.
type school struct {
	*sink
	vendor fake.Vendor
	faults *fake.Faults

	mu    sync.Mutex
	calls []string // functions, in order
	lose  string   // the function whose answer is lost; "" is none
}

func newSchool(t *testing.T, settings map[string]any, site map[string]string) *school {
	t.Helper()
	s := &school{vendor: Type.Fake(fake.Options{Settings: site}), faults: &fake.Faults{}}
	disturbed := s.faults.Around(s.vendor)
	s.sink = against(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(raw)))
		s.mu.Lock()
		s.calls = append(s.calls, function(raw))
		lost := s.lose != "" && s.lose == function(raw)
		s.mu.Unlock()
		if lost {
			disturbed.ServeHTTP(httptest.NewRecorder(), r)
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		disturbed.ServeHTTP(w, r)
	}), settings)
	return s
}

// admin does what a person with another client does, and gives the answer.
func (s *school) admin(t *testing.T, function string, args form) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, endpoint, strings.NewReader(string(append(form{{"wstoken", "admin"}, {"wsfunction", function}, {"moodlewsrestformat", "json"}}, args...).encode())))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	s.vendor.ServeHTTP(w, r)
	if strings.Contains(w.Body.String(), "exception") {
		t.Fatalf("%s: %s", function, w.Body)
	}
	return w.Body.String()
}

func (s *school) person(t *testing.T, id string) map[string]any {
	t.Helper()
	people, _ := s.vendor.Log().State()
	if people[id] == nil {
		t.Fatalf("nobody has the id %q", id)
	}
	return people[id]
}

func (s *school) called() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.calls
	s.calls = nil
	return out
}

func delivery(status string) connector.Delivery {
	return connector.Delivery{
		ID: "emp-1", Event: "evt-1", Version: 1, Status: status, Body: zofia(),
		Match: connector.Match{EmployeeNumber: "E-10417", WorkEmail: "zofia.lukasik-zak@brightfjord.example"},
	}
}

func after(d connector.Delivery, r connector.Receipt, status string) connector.Delivery {
	d.Previous, d.Version, d.Status = d.Version, d.Version+1, status
	d.Before, d.Body, d.Refs = d.Body, zofia(), r.Refs
	return d
}

func must(t *testing.T, s *school, d connector.Delivery) connector.Receipt {
	t.Helper()
	r, err := s.Apply(t.Context(), d, nil)
	if err != nil {
		t.Fatalf("%s: %v", d.Status, err)
	}
	return r
}

// TestLifeOfAnAccount goes through every status in the order of a career, with
// what each costs in calls.
func TestLifeOfAnAccount(t *testing.T) {
	for name, c := range map[string]struct {
		settings map[string]any
		preHire  bool // suspended before the first day
		leave    bool // suspended on leave
	}{
		"as shipped":        {nil, true, false},
		"open and on leave": {map[string]any{"pre_hire": "open", "leave": "suspend"}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSchool(t, c.settings, nil)
			d := delivery("pre_hire")
			r := must(t, s, d)
			id := r.Refs[refID]
			if got := s.person(t, id)["suspended"]; got != c.preHire {
				t.Errorf("pre_hire: suspended %v", got)
			}
			for _, step := range []struct {
				status    string
				suspended bool
			}{
				{"active", false}, {"leave", c.leave}, {"active", false}, {"terminated", true}, {"terminated", true},
				{"pre_hire", c.preHire}, {"active", false}, {"withdrawn", true},
			} {
				s.called()
				was := s.person(t, id)["suspended"]
				d = after(d, r, step.status)
				r = must(t, s, d)
				if got := s.person(t, id)["suspended"]; got != step.suspended {
					t.Errorf("%s: suspended %v", step.status, got)
				}
				want := []string{fnUpdate}
				if was == step.suspended {
					want = nil
				}
				if got := s.called(); !slices.Equal(got, want) {
					t.Errorf("%s: called %v, want %v", step.status, got, want)
				}
				if (r.Outcome == "unchanged") != (want == nil) {
					t.Errorf("%s: outcome %q", step.status, r.Outcome)
				}
			}
			if people, _ := s.vendor.Log().State(); len(people) != 1 {
				t.Errorf("%d accounts", len(people))
			}
		})
	}
	s := newSchool(t, map[string]any{"pre_hire": "none"}, nil)
	if r := must(t, s, delivery("pre_hire")); r.Outcome != "unchanged" || len(s.called()) != 0 {
		t.Error("an account before the first day, where none is wanted")
	}
}

// TestLeaverIsShutOutFirst: a value that Moodle refuses does not keep the
// account open.
func TestLeaverIsShutOutFirst(t *testing.T) {
	s := newSchool(t, nil, nil)
	d := delivery("active")
	r := must(t, s, d)
	d = after(d, r, "terminated")
	d.Body["email"] = "not an address"
	var saved connector.Refs
	_, err := s.Apply(t.Context(), d, func(_ context.Context, refs connector.Refs) error { saved = refs; return nil })
	if f := fault.Of(err); f == nil || f.Class != fault.Record || f.Path != "email" || f.Rule != "useremailinvalid" {
		t.Errorf("error %v", err)
	}
	if s.person(t, r.Refs[refID])["suspended"] != true || saved[refSuspended] != "1" {
		t.Errorf("who left is not shut out, or it is not remembered: %v", saved)
	}
}

// TestRehireComesBackWithTheNewProfile in one call.
func TestRehireComesBackWithTheNewProfile(t *testing.T) {
	s := newSchool(t, nil, nil)
	d := delivery("active")
	r := must(t, s, d)
	d = after(d, r, "terminated")
	r = must(t, s, d)
	d = after(d, r, "active")
	d.Body["department"] = "Drift"
	d.Body["lang"] = nil // Moodle takes no empty one
	d.Body["customfields"] = map[string]any{"costcentre": nil}
	s.called()
	r = must(t, s, d)
	if got := s.called(); !slices.Equal(got, []string{fnUpdate}) {
		t.Errorf("called %v", got)
	}
	p := s.person(t, r.Refs[refID])
	if p["suspended"] != false || p["department"] != "Drift" || p["lang"] != "pl" || p["customfields"].(map[string]any)["costcentre"] != "" {
		t.Errorf("account %v", p)
	}
	if want := []string{"department", "customfields.costcentre"}; !slices.Equal(r.Sent, want) {
		t.Errorf("sent %v, want %v", r.Sent, want)
	}
}

func admit(fields form) form { return fields.below("users", 0) }

// TestWhoIsThere is taken over if it is surely the person, and left alone else.
func TestWhoIsThere(t *testing.T) {
	base := form{{"firstname", "Z"}, {"lastname", "Ł"}, {"auth", "oauth2"}}
	mail, other := "zofia.lukasik-zak@brightfjord.example", "other@brightfjord.example"
	for name, c := range map[string]struct {
		there            []form
		adopted, clashes bool
	}{
		"same number, other names":         {[]form{append(base, form{{"username", "zl"}, {"email", other}, {"idnumber", "E-10417"}}...)}, true, false},
		"no number, our mail":              {[]form{append(base, form{{"username", "zl"}, {"email", mail}}...)}, true, true},
		"no number, our username and mail": {[]form{append(base, form{{"username", mail}, {"email", "Zofia.Lukasik-Zak@brightfjord.example"}}...)}, true, true},
		"no number, another mail":          {[]form{append(base, form{{"username", mail}, {"email", other}}...)}, false, true},
		"another number":                   {[]form{append(base, form{{"username", mail}, {"email", mail}, {"idnumber", "E-99999"}}...)}, false, true},
		"our id of another": {[]form{append(base, form{{"username", "zl"}, {"email", other}, {"idnumber", "E-10417"},
			{"customfields[0][type]", "musterid"}, {"customfields[0][value]", "emp-9"}}...)}, false, false},
		"two with the number": {[]form{
			append(base, form{{"username", "a"}, {"email", "a@b.example"}, {"idnumber", "E-10417"}}...),
			append(base, form{{"username", "b"}, {"email", "b@b.example"}, {"idnumber", "E-10417"}}...),
		}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSchool(t, map[string]any{"our_id_field": "musterid"}, nil)
			for _, f := range c.there {
				s.admin(t, fnCreate, admit(f))
			}
			d := delivery("active")
			found, err := s.Find(t.Context(), d)
			if err != nil || len(found) != len(c.there) || found[0].Sure != c.adopted {
				t.Fatalf("found %+v, %v", found, err)
			}
			if c.adopted {
				d.Refs = found[0].Refs // as delivery goes on
				must(t, s, d)
				if people, _ := s.vendor.Log().State(); len(people) != 1 {
					t.Errorf("%d accounts", len(people))
				}
				return
			}
			// A create that clashes is looked at once more: nothing else is found.
			if c.clashes {
				if _, err := s.Apply(t.Context(), d, nil); fault.Of(err) == nil || fault.Of(err).Reason != reasonExists {
					t.Errorf("error %v, want exists", err)
				}
			}
			if _, writes := s.vendor.Log().State(); len(writes) != len(c.there) {
				t.Errorf("%d writes, want those of the others alone", len(writes))
			}
		})
	}
}

// TestCreateThatClashes: who came between the look and the create is adopted,
// with what differs.
func TestCreateThatClashes(t *testing.T) {
	s := newSchool(t, nil, nil)
	b := zofia()
	delete(b, "department")
	there, err := fieldsOf(b)
	if err != nil {
		t.Fatal(err)
	}
	there["auth"] = "oauth2"
	s.admin(t, fnCreate, admit(there.form()))
	r := must(t, s, delivery("active"))
	if want := []string{"department"}; !slices.Equal(r.Sent, want) || s.person(t, r.Refs[refID])["department"] != "Payroll" {
		t.Errorf("sent %v, want %v", r.Sent, want)
	}
}

// TestGoneByHand: the account that we remember is not there any more.
func TestGoneByHand(t *testing.T) {
	s := newSchool(t, nil, nil)
	d := delivery("active")
	d.Refs = connector.Refs{refID: "1", refSuspended: "0"}
	d.Before, d.Body["department"] = zofia(), "Drift"
	r := must(t, s, d)
	if r.Refs[refID] == "1" || s.person(t, r.Refs[refID])["department"] != "Drift" {
		t.Errorf("refs %v", r.Refs)
	}
	d = after(d, connector.Receipt{Refs: connector.Refs{refID: "2", refSuspended: "0"}}, "terminated")
	r = must(t, s, d) // finds the other
	if s.person(t, r.Refs[refID])["suspended"] != true {
		t.Error("the account that is there was not shut")
	}
}

// TestCrashBetweenCreateAndSuspend resumes with what was saved.
func TestCrashBetweenCreateAndSuspend(t *testing.T) {
	s := newSchool(t, nil, nil)
	lost := errors.New("not saved")
	var saved connector.Refs
	_, err := s.Apply(t.Context(), delivery("pre_hire"), func(_ context.Context, refs connector.Refs) error {
		saved = refs
		return lost
	})
	if !errors.Is(err, lost) || s.person(t, saved[refID])["suspended"] != false {
		t.Fatalf("error %v, saved %v: the call after saving was made", err, saved)
	}
	d := delivery("pre_hire")
	d.Refs = saved
	must(t, s, d)
	if people, _ := s.vendor.Log().State(); len(people) != 1 || s.person(t, saved[refID])["suspended"] != true {
		t.Errorf("people %v", people)
	}
}

// TestCleanedValues are noticed when the account is read: in what it is known
// by they are an error, elsewhere a note.
func TestCleanedValues(t *testing.T) {
	s := newSchool(t, nil, map[string]string{"customfields": "title"})
	d := delivery("active")
	d.Body["department"] = "R<b>&</b>D"
	r := must(t, s, d)
	if want := "department\ncustomfields.costcentre"; r.Refs[refAltered] != want {
		t.Errorf("altered %q, want %q", r.Refs[refAltered], want)
	}
	s = newSchool(t, nil, nil)
	d = delivery("active")
	d.Body["lastname"] = "Łukasik<Żak>"
	var saved connector.Refs
	_, err := s.Apply(t.Context(), d, func(_ context.Context, refs connector.Refs) error { saved = refs; return nil })
	if f := fault.Of(err); f == nil || f.Class != fault.Record || f.Reason != "altered" || f.Path != "lastname" || strings.Contains(err.Error(), "Żak") {
		t.Errorf("error %v", err)
	}
	if saved[refID] == "" {
		t.Error("the account that was made is not remembered")
	}
}

// TestBlindToken: an empty answer about an account that was just made means
// that the token may see nobody, and every other lookup would find nobody too.
func TestBlindToken(t *testing.T) {
	s := newSchool(t, nil, map[string]string{"sees": "nobody"})
	_, err := s.Apply(t.Context(), delivery("active"), nil)
	if f := fault.Of(err); f == nil || f.Class != fault.Target || f.Reason != "permission" {
		t.Errorf("error %v, want one that stops the target", err)
	}
}

// TestRefusals that are the record's, with their place.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		field, value, reason, path string
	}{
		"upper case":         {"username", "Zofia", "validation", "username"},
		"accents":            {"username", "zofia.łukasik", "validation", "username"},
		"language":           {"lang", "zz", reasonInvalid, ""},
		"too long":           {"department", strings.Repeat("x", 300), reasonWrite, ""},
		"no name":            {"firstname", "", "required", "firstname"},
		"a field of ours":    {"suspended", "0", "body", "suspended"},
		"a name that is not": {"users[1][id]", "2", "body", "users[1][id]"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSchool(t, nil, nil)
			d := delivery("active")
			d.Body[c.field] = c.value
			_, err := s.Apply(t.Context(), d, nil)
			if f := fault.Of(err); f == nil || f.Class != fault.Record || f.Reason != c.reason || f.Path != c.path {
				t.Errorf("error %v", err)
			}
			if people, _ := s.vendor.Log().State(); len(people) != 0 {
				t.Errorf("people %v", people)
			}
		})
	}
}

// TestDatabaseGetsOneMoreTry and no third.
func TestDatabaseGetsOneMoreTry(t *testing.T) {
	s := newSchool(t, nil, nil)
	d := delivery("active")
	r := must(t, s, d)
	s.admin(t, fnCreate, admit(form{{"username", "taken"}, {"firstname", "A"}, {"lastname", "B"}, {"email", "a@b.example"}, {"auth", "ldap"}}))
	s.called()
	d = after(d, r, "active")
	d.Body["username"] = "taken"
	_, err := s.Apply(t.Context(), d, nil)
	if f := fault.Of(err); f == nil || f.Class != fault.Record || f.Reason != reasonWrite {
		t.Errorf("error %v", err)
	}
	if d := cmp.Diff([]string{fnUpdate, fnUpdate}, s.called()); d != "" {
		t.Errorf("calls (-want +got):\n%s", d)
	}
}
