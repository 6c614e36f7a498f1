package gusto

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connector/sourcetest"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/secret"
	"github.com/muster-hr/muster/libs/testkit/mappingtest"
)

// ask makes a call that must be answered with status.
func ask(t *testing.T, vendor fake.Vendor, method, path, body string, status int, out any) {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer sys")
	rec := httptest.NewRecorder()
	vendor.ServeHTTP(rec, r)
	if rec.Code != status {
		t.Fatalf("%s %s: %d %s", method, path, rec.Code, rec.Body)
	}
	if err := json.Unmarshal(rec.Body.Bytes(), out); err != nil {
		t.Fatal(err)
	}
}

func TestReaderKeepsThePromises(t *testing.T) {
	w := newWorld(t, nil)
	w.apply(t, hired(whole()))
	id, _ := w.only(t)
	sourcetest.RunReader(t, sourcetest.Reader{
		Open: func(t *testing.T, remote *sourcetest.Remote) connector.Reader {
			a := w.account(nil)
			a.BaseURL, a.Transport = "https://gusto.example", remote
			r, err := Type.Reader(a)
			if err != nil {
				t.Fatal(err)
			}
			return r
		},
		Fake:    func(*testing.T) http.Handler { return w.vendor },
		Known:   id,
		Unknown: "11111111-2222-4333-8444-000000000000",
		Now:     w.now,
	})
}

// TestWhatIsReadBackIsMapped the whole way, from the fake to an observation.
func TestWhatIsReadBackIsMapped(t *testing.T) {
	w := newWorld(t, nil)
	r := w.apply(t, hired(whole()))
	w.do(t, "onboard", map[string]any{"id": r.Key})
	reader, err := Type.Reader(w.account(nil))
	if err != nil {
		t.Fatal(err)
	}
	rec, err := reader.Read(t.Context(), r.Key)
	if err != nil {
		t.Fatal(err)
	}
	o, err := mappingtest.Shipped(t, "gusto", Type.FromVendor, mapping.FromVendor).Observe(rec, w.now)
	if err != nil {
		t.Fatal(err)
	}
	job, _ := o.Fields["employment"].(map[string]any)
	if o.Key != r.Key || job["status"] != "active" || job["hire_date"] != "2026-02-16" {
		t.Errorf("observed %v", o.Fields)
	}
}

// TestRefresh: a refused access token is renewed once, the pair is kept, and
// the next start goes on with it.
func TestRefresh(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens.json")
	w := newWorld(t, nil, "refresh_token", "refresh-0", "client_id", "app", "client_secret", "hush")
	account := func() connector.Account {
		a := w.account(map[string]any{"token_file": file})
		for name, v := range map[string]string{"refresh_token": "refresh-0", "client_id": "app", "client_secret": "hush"} {
			a.Secrets[name] = secret.New(v)
		}
		return a
	}
	open := func(a connector.Account) connector.Check {
		c, err := Type.Check(a)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	w.do(t, "expire_token", nil)
	if err := open(account()).Check(t.Context()); err != nil {
		t.Fatalf("with a token to refresh: %v", err)
	}
	if err := open(account()).Check(t.Context()); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	kept, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(kept), "refresh-1") {
		t.Errorf("kept %s, %v", kept, err)
	}
	w.do(t, "expire_token", nil)
	a := account()
	a.Settings["token_file"] = "" // the refresh token of the settings is used up
	err = open(a).Check(t.Context())
	if f := fault.Of(err); f == nil || f.Class != fault.Target || f.Reason != "auth" {
		t.Errorf("with a refresh token that is used up: %v", err)
	}
	elsewhere := account()
	elsewhere.Settings["token_file"], elsewhere.Secrets["refresh_token"] = "", secret.New("refresh-1")
	if err := open(elsewhere).Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.do(t, "expire_token", nil)
	again := account()
	again.Secrets["refresh_token"] = secret.New("refresh-2") // the company was connected again
	if err := open(again).Check(t.Context()); err != nil {
		t.Errorf("connected again, with the file of the connection before: %v", err)
	}
}

// TestRefreshedByAnother: the refresh token of a running process is used up by
// another one that shares the file; what that one left there is taken over.
func TestRefreshedByAnother(t *testing.T) {
	w := newWorld(t, nil, "refresh_token", "refresh-0", "client_id", "app", "client_secret", "hush")
	a := w.account(map[string]any{"token_file": filepath.Join(t.TempDir(), "tokens.json")})
	for name, v := range map[string]string{"refresh_token": "refresh-0", "client_id": "app", "client_secret": "hush"} {
		a.Secrets[name] = secret.New(v)
	}
	var processes []connector.Check
	for range 2 {
		c, err := Type.Check(a)
		if err != nil {
			t.Fatal(err)
		}
		processes = append(processes, c)
	}
	for round := range 3 {
		w.do(t, "expire_token", nil)
		for i := range processes {
			if err := processes[(round+i)%2].Check(t.Context()); err != nil {
				t.Errorf("round %d: %v", round, err)
			}
		}
	}
	// Explaining something keeps nothing.
	dry := a
	dry.Dry = true
	before, err := os.ReadFile(a.Text("token_file"))
	if err != nil {
		t.Fatal(err)
	}
	dry.Secrets = map[string]secret.Value{"refresh_token": secret.New("refresh-3"), "client_id": secret.New("app"), "client_secret": secret.New("hush")}
	w.do(t, "expire_token", nil)
	c, err := Type.Check(dry)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(t.Context()); err != nil {
		t.Errorf("dry: %v", err)
	}
	if after, err := os.ReadFile(a.Text("token_file")); err != nil || string(after) != string(before) {
		t.Errorf("explaining wrote %s, %v", after, err)
	}
}

// TestNoSuchCompany stops the target: nobody is given up for a wrong setting,
// or taken for deleted.
func TestNoSuchCompany(t *testing.T) {
	for name, spoil := range map[string]func(*connector.Account){
		"company":  func(a *connector.Account) { a.Settings["company"] = "00000000-2222-4333-8444-000000000000" },
		"base_url": func(a *connector.Account) { a.BaseURL += "/elsewhere" },
	} {
		w := newWorld(t, nil)
		d := hired(whole())
		known := then(d, w.apply(t, d), "active", nil)
		a := w.account(nil)
		spoil(&a)
		s, err := Type.Sink(a)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Type.Reader(a)
		if err != nil {
			t.Fatal(err)
		}
		_, first := s.Apply(t.Context(), d, w.progress)
		errs := map[string]error{"the first": first}
		if name == "base_url" { // Gusto finds an employee whatever company we name
			_, errs["a known one"] = s.Apply(t.Context(), known, w.progress)
			_, errs["a read"] = r.Read(t.Context(), known.Refs[refID])
		}
		for what, err := range errs {
			if f := fault.Of(err); f == nil || f.Class != fault.Target || f.Reason != reasonCompany {
				t.Errorf("%s: %s: %v", name, what, err)
			}
		}
	}
}

// TestManyCallsRefreshOnce: a refresh token is good for one use.
func TestManyCallsRefreshOnce(t *testing.T) {
	w := newWorld(t, nil, "refresh_token", "refresh-0", "client_id", "app", "client_secret", "hush")
	a := w.account(nil)
	for name, v := range map[string]string{"refresh_token": "refresh-0", "client_id": "app", "client_secret": "hush"} {
		a.Secrets[name] = secret.New(v)
	}
	c, err := Type.Check(a)
	if err != nil {
		t.Fatal(err)
	}
	w.do(t, "expire_token", nil)
	done := make(chan error, 8)
	for range cap(done) {
		go func() { done <- c.Check(context.Background()) }()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	refreshes := 0
	for _, s := range w.writes() {
		if strings.HasSuffix(s.path, "/oauth/token") {
			refreshes++
		}
	}
	if refreshes != 1 {
		t.Errorf("%d refreshes, want 1", refreshes)
	}
}
