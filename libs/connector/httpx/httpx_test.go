package httpx

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/muster-hr/muster/libs/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a vendor and a client for it that keeps no connections.
func serve(t *testing.T, o Options, h http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	o.BaseURL = server.URL + o.BaseURL
	if o.Transport == nil {
		rt := Transport(TransportOptions{BaseURL: o.BaseURL})
		t.Cleanup(rt.(*roundTripper).CloseIdleConnections)
		o.Transport = rt
	}
	return New(o)
}

func TestRequestAsItArrives(t *testing.T) {
	c := serve(t, Options{
		BaseURL: "/api/v1/", UserAgent: "muster/1",
		Auth: func(r *http.Request) error { r.Header.Set("Authorization", "Bearer t"); return nil },
	}, func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Answer", "yes")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]string{
			"method": r.Method, "uri": r.RequestURI, "body": string(raw), "type": r.Header.Get("Content-Type"),
			"auth": r.Header.Get("Authorization"), "agent": r.Header.Get("User-Agent"), "extra": r.Header.Get("X-Extra"),
			"accept": r.Header.Get("Accept"),
		})
	})
	a, err := c.Do(t.Context(), Call{
		Method: "POST", Path: "/users/" + Segment("a/b@c d.example"), Query: url.Values{"q": {"x y+z"}},
		Header: http.Header{"x-extra": {"1"}}, JSON: map[string]string{"name": "<Łukasik & Żak>"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]string
	if err := a.Decode(&got); err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]string{
		"method": "POST", "uri": "/api/v1/users/a%2Fb%40c%20d.example?q=x%20y%2Bz", "body": `{"name":"<Łukasik & Żak>"}`,
		"type": "application/json", "auth": "Bearer t", "agent": "muster/1", "extra": "1", "accept": "application/json",
	} {
		if got[k] != want {
			t.Errorf("%s = %q, want %q", k, got[k], want)
		}
	}
	if a.Status != 201 || a.Header.Get("X-Answer") != "yes" {
		t.Errorf("answer %d %v", a.Status, a.Header)
	}
}

func TestErrorsCarryTheAnswer(t *testing.T) {
	c := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return
		}
		w.Header().Set("Retry-After", "3")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, "slow down")
	})
	a, err := c.Do(t.Context(), Call{Method: "GET", Path: "/"})
	f := fault.Of(err)
	if f == nil || f.Class != fault.Throttled || f.After != 3*time.Second || a.Status != 429 || string(a.Body) != "slow down" {
		t.Errorf("%v, %d %s", err, a.Status, a.Body)
	}
	if _, err := c.Do(t.Context(), Call{Method: "GET", Path: "/moved"}); fault.Of(err).Class != fault.Target || fault.Reason(err) != "redirect" {
		t.Errorf("a redirect gives %v", err)
	}
}

func TestOwnClassification(t *testing.T) {
	c := serve(t, Options{Classify: func(status int, _ http.Header, body []byte, _ time.Time) *fault.Error {
		if status == 200 && strings.Contains(string(body), "error") { // an error in a success's clothes
			return fault.New(fault.Record, "refused", "refused")
		}
		return nil
	}}, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"error":1}`) })
	if _, err := c.Do(t.Context(), Call{Method: "GET"}); fault.Reason(err) != "refused" {
		t.Errorf("error %v", err)
	}
}

func TestLongAnswersAreNotKept(t *testing.T) {
	c := serve(t, Options{MaxBody: 10}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", len(r.URL.RawQuery)))
	})
	if a, err := c.Do(t.Context(), Call{Method: "GET", Query: url.Values{"a": {"45678901"}}}); err != nil || len(a.Body) != 10 {
		t.Errorf("10 bytes: %v", err)
	}
	if a, err := c.Do(t.Context(), Call{Method: "GET", Query: url.Values{"a": {"456789012"}}}); fault.Reason(err) != "answer_too_large" || a.Body != nil {
		t.Errorf("11 bytes: %v", err)
	}
}

func TestNetworkErrors(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	cut := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer cut.Close()
	half := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
	}))
	defer half.Close()
	never := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-never:
		case <-r.Context().Done():
		}
	}))
	defer slow.Close()
	defer close(never)
	quiet := log.New(io.Discard, "", 0)
	strange := httptest.NewUnstartedServer(http.NotFoundHandler()) // its certificate is nobody's
	strange.Config.ErrorLog = quiet
	strange.StartTLS()
	defer strange.Close()
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	old.Config.ErrorLog = quiet
	old.StartTLS()
	defer old.Close()
	for name, c := range map[string]struct {
		base   string
		class  fault.Class
		reason string
	}{
		"refused":     {"http://" + closed.Addr().String(), fault.Transient, "connect"},
		"cut":         {cut.URL, fault.Transient, "reset"},
		"half":        {half.URL, fault.Transient, "reset"},
		"slow":        {slow.URL, fault.Transient, "timeout"},
		"certificate": {strange.URL, fault.Target, "tls"},
		"no TLS":      {"https://" + cut.Listener.Addr().String(), fault.Target, "tls"},
		"old TLS":     {old.URL, fault.Target, "tls"},
		"plain":       {"http://vendor.example", fault.Target, "plain_http"},
		"no URL":      {"vendor.example", fault.Target, "config"},
		"other":       {"ftp://vendor.example", fault.Target, "config"},
	} {
		t.Run(name, func(t *testing.T) {
			timeout := 10 * time.Second
			if name == "slow" {
				timeout = 50 * time.Millisecond
			}
			rt := Transport(TransportOptions{BaseURL: c.base, Timeout: timeout})
			defer rt.(*roundTripper).CloseIdleConnections()
			_, err := New(Options{BaseURL: c.base, Transport: rt}).Do(t.Context(), Call{Method: "GET", Path: "/"})
			f := fault.Of(err)
			if f == nil || f.Class != c.class || f.Reason != c.reason {
				t.Errorf("%v, want %s: %s", err, c.class, c.reason)
			}
		})
	}
}

func TestTheCallersEndIsNoTimeout(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := serve(t, Options{}, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	_, err := c.Do(ctx, Call{Method: "GET"})
	if !errors.Is(err, context.Canceled) || fault.Reason(err) != "canceled" || fault.Of(err).Class != fault.Transient {
		t.Errorf("error %v", err)
	}
}

func TestErrorsTellNoValues(t *testing.T) {
	c := New(Options{BaseURL: "https://vendor.example"})
	for _, call := range []Call{
		{Method: "GET", Path: "/people/Lukasik%zz"},
		{Method: "POST", Path: "/", JSON: map[string]any{"Lukasik": func() {}}},
		{Method: "B AD", Path: "/people/Lukasik"},
	} {
		if _, err := c.Do(t.Context(), call); err == nil || strings.Contains(err.Error(), "Lukasik") {
			t.Errorf("error %v", err)
		}
	}
	if err := (Answer{Body: []byte(`{"name":"Lukasik"`)}).Decode(new(any)); err == nil || strings.Contains(err.Error(), "Lukasik") {
		t.Errorf("error %v", err)
	}
}

func TestAuthThatFailsStopsTheCall(t *testing.T) {
	lost := fault.New(fault.Target, "auth", "no token")
	c := serve(t, Options{Auth: func(*http.Request) error { return lost }}, func(http.ResponseWriter, *http.Request) { t.Error("was called") })
	if _, err := c.Do(t.Context(), Call{Method: "GET"}); !errors.Is(err, error(lost)) {
		t.Errorf("error %v", err)
	}
}

func TestWaitOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		for _, c := range []struct {
			since time.Time
			want  time.Duration
		}{
			{time.Time{}, 0},
			{start.Add(-time.Hour), 0},
			{start.Add(-4 * time.Second), 6 * time.Second},
			{start.Add(time.Hour), 10 * time.Second}, // another clock: never longer than the window
		} {
			begin := time.Now()
			if err := WaitOut(t.Context(), c.since, 10*time.Second, func() time.Time { return start }); err != nil {
				t.Error(err)
			}
			if took := time.Since(begin); took != c.want {
				t.Errorf("waited %s, want %s", took, c.want)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := WaitOut(ctx, time.Now(), time.Minute, time.Now); fault.Reason(err) != "timeout" {
			t.Errorf("error %v", err)
		}
	})
}

// TestBodiesAreThoseOfEncodingJSON that leaves what HTML takes for markup alone.
func TestBodiesAreThoseOfEncodingJSON(t *testing.T) {
	for _, v := range []any{
		map[string]any{}, map[string]any(nil), map[string]string{"a": "<b>"}, []any{"<", nil},
		map[string]any{"b": "Łukasik & Żak", "a": []any{"<i>", true, nil, json.Number("1.50"), 7, 0.1}, "c": map[string]any{"&": "\u2028"}},
		map[string]any{"plain": "Analyst", "quoted": "\"\\/\n\t", "written": `\u003c`, "control": "\x01", "broken": "\xff", "typed": struct{ A string }{"<"}},
		map[string]any{"never": func() {}},
	} {
		var want bytes.Buffer
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		wrong := e.Encode(v)
		got, err := encode(v)
		if (err != nil) != (wrong != nil) || err == nil && string(got)+"\n" != want.String() {
			t.Errorf("%v is %s, %v; want %s, %v", v, got, err, want.String(), wrong)
		}
	}
}

// TestTheSoonerDeadlineHolds, the caller's or the client's.
func TestTheSoonerDeadlineHolds(t *testing.T) {
	for _, c := range []struct{ caller, client time.Duration }{{50 * time.Millisecond, time.Minute}, {time.Minute, 50 * time.Millisecond}} {
		client := serve(t, Options{Timeout: c.client}, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		ctx, cancel := context.WithTimeout(t.Context(), c.caller)
		defer cancel()
		if _, err := client.Do(ctx, Call{Method: "GET"}); fault.Reason(err) != "timeout" || fault.Of(err).Class != fault.Transient {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestAnswersOfAnyLength, whatever length they say.
func TestAnswersOfAnyLength(t *testing.T) {
	cut := errors.New("cut")
	for _, said := range []int64{-1, 0, 1, 5000, 5001, 1 << 40} {
		answer := strings.Repeat("x", 5000)
		if got, err := read(iotest.HalfReader(strings.NewReader(answer)), said); err != nil || string(got) != answer {
			t.Errorf("said %d: %d bytes, %v", said, len(got), err)
		}
		if _, err := read(io.MultiReader(strings.NewReader(answer), iotest.ErrReader(cut)), said); !errors.Is(err, cut) {
			t.Errorf("said %d: %v", said, err)
		}
		if got, err := read(strings.NewReader(""), said); err != nil || got == nil || len(got) != 0 {
			t.Errorf("said %d of nothing: %v, %v", said, got, err)
		}
	}
}

func TestAPortThatIsNotSaid(t *testing.T) {
	req, err := New(Options{BaseURL: "https://vendor.example:/api/"}).request(t.Context(), Call{Method: "GET", Path: "/people"})
	if err != nil || req.Host != "vendor.example" || req.URL.String() != "https://vendor.example/api/people" {
		t.Errorf("%+v, %v", req, err)
	}
}
