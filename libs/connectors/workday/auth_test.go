package workday

import (
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/secret"
)

var oauth = map[string]secret.Value{"client_id": secret.New("c:1"), "client_secret": secret.New("s"), "refresh_token": secret.New("r")}

func (w *world) check(secrets map[string]secret.Value) error {
	w.t.Helper()
	a := w.account(map[string]any{"user": ""})
	a.Secrets = secrets
	if secrets == nil {
		a = w.account(nil)
	}
	c, err := Type.Check(a)
	if err != nil {
		w.t.Fatal(err)
	}
	return c.Check(w.t.Context())
}

// TestOAuth: an access token is used until shortly before its end or until it is
// refused, then one new one is asked for.
func TestOAuth(t *testing.T) {
	w := newWorld(t, map[string]string{"client_id": "c%3A1", "client_secret": "s", "refresh_token": "r"})
	w.hire(1)
	a := w.account(map[string]any{"user": ""})
	a.Secrets = oauth
	s, err := open(a)
	if err != nil {
		t.Fatal(err)
	}
	tokens := func() (n int) {
		for _, r := range w.asked {
			if r.Method == http.MethodPost {
				n++
			}
		}
		return n
	}
	for _, step := range []struct {
		later time.Duration
		want  int
	}{{0, 1}, {50 * time.Minute, 1}, {10 * time.Minute, 2}} {
		w.now = w.now.Add(step.later)
		w.pages(s, "")
		if got := tokens(); got != step.want {
			t.Errorf("after %s: %d tokens, want %d", step.later, got, step.want)
		}
	}
	if err := w.check(oauth); err != nil { // another one's refresh ends ours
		t.Fatal(err)
	}
	if w.pages(s, ""); tokens() != 4 {
		t.Errorf("%d tokens, want one more for the refused one", tokens())
	}
}

func TestCredentials(t *testing.T) {
	wrong := func(name string) map[string]secret.Value {
		m := map[string]secret.Value{"client_id": secret.New("c"), "client_secret": secret.New("s"), "refresh_token": secret.New("r")}
		m[name] = secret.New("wrong")
		return m
	}
	right := map[string]string{"user": "ISU_MUSTER", "password": "p", "client_id": "c", "client_secret": "s", "refresh_token": "r"}
	for name, c := range map[string]struct {
		vendor  map[string]string
		secrets map[string]secret.Value
		reason  string
	}{
		"basic":            {right, nil, ""},
		"a wrong password": {map[string]string{"password": "other"}, nil, "auth"},
		"OAuth":            {right, map[string]secret.Value{"client_id": secret.New("c"), "client_secret": secret.New("s"), "refresh_token": secret.New("r")}, ""},
		"a wrong client":   {right, wrong("client_secret"), "auth"},
		"a dead refresh":   {right, wrong("refresh_token"), "auth"},
	} {
		w := newWorld(t, c.vendor)
		w.hire(1)
		err := w.check(c.secrets)
		if (err == nil) != (c.reason == "") || err != nil && (fault.Of(err).Class != fault.Target || fault.Reason(err) != c.reason) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckLooksForTheKey(t *testing.T) {
	w := newWorld(t, nil)
	w.hire(2)
	a := w.account(map[string]any{"key": "Universal_ID"})
	c, err := Type.Check(a)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(t.Context()); fault.Reason(err) != "key_column" {
		t.Errorf("error %v", err)
	}
}

// TestRateLimit: the vendor's wait is passed on, and nothing is lost by it.
func TestRateLimit(t *testing.T) {
	w := newWorld(t, map[string]string{"rate": "1"})
	w.hire(2)
	s := w.source(nil)
	_, after := w.pages(s, "")
	if _, err := s.Changes(t.Context(), after); fault.Of(err).Class != fault.Throttled || fault.Of(err).After != time.Second {
		t.Errorf("error %v", err)
	}
	w.now = w.now.Add(time.Second)
	if got, _ := w.pages(s, after); len(keys(got...)) != 2 {
		t.Errorf("keys %v", keys(got...))
	}
}

// TestPackedAnswer is unpacked as it is read, also when it is cut off.
func TestPackedAnswer(t *testing.T) {
	w := newWorld(t, nil)
	pack := httptest.NewRecorder()
	z := gzip.NewWriter(pack)
	_, _ = z.Write([]byte(whole(8)))
	_ = z.Close()
	for cut, reason := range map[int]string{0: "", 4: "cut_off", pack.Body.Len() - 4: "cut_off"} {
		body := pack.Body.Bytes()[:pack.Body.Len()-cut]
		w.remote.Answer = func(r *http.Request) *http.Response {
			if r.Header.Get("Accept-Encoding") != "gzip" {
				t.Error("gzip was not asked for")
			}
			rec := httptest.NewRecorder()
			rec.Header().Set("Content-Encoding", "gzip")
			_, _ = rec.Write(body)
			return rec.Result()
		}
		s := w.source(map[string]any{"page_size": 100})
		page, err := s.Changes(t.Context(), "")
		if err == nil && page.More {
			_, err = s.Changes(t.Context(), page.Next)
		}
		if reason == "" {
			if err != nil || page.Frame.End != connector.Complete {
				t.Errorf("%v, %+v", err, page.Frame)
			}
			continue
		}
		if fault.Reason(err) != reason {
			t.Errorf("cut by %d: %v, %+v", cut, err, page.Frame)
		}
	}
}
