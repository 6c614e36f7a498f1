package fake

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// vendor counts its effects.
type vendor struct{ effects int }

func (v *vendor) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	v.effects++
	w.Header().Set("X-Vendor", "yes")
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, "made")
}

// call makes a request; cut tells that no answer came.
func call(h http.Handler, method, path string) (w *httptest.ResponseRecorder, cut bool) {
	defer func() {
		if r := recover(); r != nil {
			cut = r == http.ErrAbortHandler //nolint:errorlint // the panic value itself
		}
	}()
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("Traceparent", "00-a-b-01")
	w = httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w, false
}

func add(t *testing.T, f *Faults, js string) {
	t.Helper()
	var x Fault
	if err := json.Unmarshal([]byte(js), &x); err != nil {
		t.Fatal(err)
	}
	if err := f.Add(x); err != nil {
		t.Fatal(err)
	}
}

func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		fault   string
		status  int
		body    string
		cut     bool
		effects int
	}{
		"none that fits":     {`{"status": 503, "match": {"method": "GET"}}`, 201, "made", false, 1},
		"status":             {`{"status": 503}`, 503, "", false, 0},
		"response":           {`{"status": 400, "response": {"headers": {"X-A": "b"}, "body": {"a": 1}}}`, 400, `{"a": 1}`, false, 0},
		"text":               {`{"response": {"status": 502, "body": "<html>"}}`, 502, "<html>", false, 0},
		"after, cut":         {`{"when": "after_effect"}`, 0, "", true, 1},
		"after, status":      {`{"when": "after_effect", "status": 504}`, 504, "", false, 1},
		"by path":            {`{"status": 503, "match": {"path": "/users"}}`, 503, "", false, 0},
		"by another path":    {`{"status": 503, "match": {"path": "/user"}}`, 201, "made", false, 1},
		"by pattern":         {`{"status": 503, "match": {"path": "/u*s", "method": "post"}}`, 503, "", false, 0},
		"never by its share": {`{"status": 503, "rate": 1e-300}`, 201, "made", false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f, v := &Faults{}, &vendor{}
			add(t, f, c.fault)
			w, cut := call(f.Around(v), "POST", "/users?a=b")
			if cut != c.cut || v.effects != c.effects {
				t.Errorf("cut %t, %d effects; want %t, %d", cut, v.effects, c.cut, c.effects)
			}
			if !cut && (w.Code != c.status || w.Body.String() != c.body) {
				t.Errorf("%d %q, want %d %q", w.Code, w.Body, c.status, c.body)
			}
			if c.status == 201 && w.Header().Get("X-Vendor") != "yes" {
				t.Error("the vendor's headers are lost")
			}
			seen := f.Requests()
			if len(seen) != 1 || seen[0].Status != c.status || seen[0].Method != "POST" || seen[0].Path != "/users" || seen[0].Traceparent != "00-a-b-01" {
				t.Errorf("log %+v", seen)
			}
			f.Clear()
			if w, cut := call(f.Around(v), "POST", "/users"); cut || w.Code != 201 {
				t.Error("cleared faults go on")
			}
		})
	}
}

func TestFaultsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, v := &Faults{}, &vendor{}
		h := f.Around(v)
		add(t, f, `{"status": 503, "times": 2}`)
		for i, want := range []int{503, 503, 201} {
			if w, _ := call(h, "POST", "/"); w.Code != want {
				t.Errorf("call %d: %d, want %d", i, w.Code, want)
			}
		}
		add(t, f, `{"status": 500, "for_s": 30}`)
		for _, want := range []int{500, 201} {
			if w, _ := call(h, "POST", "/"); w.Code != want {
				t.Errorf("%d, want %d", w.Code, want)
			}
			time.Sleep(30 * time.Second)
		}
		add(t, f, `{"latency_ms": 700}`)
		start := time.Now()
		if w, _ := call(h, "POST", "/"); w.Code != 201 || time.Since(start) != 700*time.Millisecond {
			t.Errorf("%d after %s", w.Code, time.Since(start))
		}
	})
}

// TestDelayEnds with the caller, also of a call with a body, and with the faults.
func TestDelayEnds(t *testing.T) {
	f, v := &Faults{}, &vendor{}
	add(t, f, `{"latency_ms": 3600000}`)
	arrived, ended := make(chan bool), make(chan bool)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- true
		defer func() { ended <- true }()
		f.Around(v).ServeHTTP(w, r)
	}))
	defer server.Close()
	ctx, leave := context.WithCancel(t.Context())
	answered := make(chan error, 1)
	go func() {
		r, _ := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/users", strings.NewReader(`{"a": 1}`))
		resp, err := server.Client().Do(r)
		if err == nil {
			err = resp.Body.Close()
		}
		answered <- err
	}()
	<-arrived
	leave()
	if err := <-answered; err == nil {
		t.Error("who left was answered")
	}
	<-ended
	if v.effects != 0 || len(f.Requests()) != 1 || f.Requests()[0].Status != 0 {
		t.Errorf("%d effects, log %+v", v.effects, f.Requests())
	}
	synctest.Test(t, func(t *testing.T) {
		f, v := &Faults{}, &vendor{}
		add(t, f, `{"latency_ms": 3600000}`)
		begin := time.Now()
		go func() {
			if w, cut := call(f.Around(v), "POST", "/users"); cut || w.Code != http.StatusCreated {
				t.Errorf("cut %t, %d", cut, w.Code)
			}
		}()
		synctest.Wait()
		f.Clear()
		synctest.Wait()
		if v.effects != 1 || time.Since(begin) > 0 {
			t.Errorf("%d effects after %s", v.effects, time.Since(begin))
		}
	})
}

func TestWrongFaultsAreRefused(t *testing.T) {
	for _, x := range []Fault{{When: "later"}, {Rate: 2}, {Rate: -1}, {Times: -1}, {Status: 99}, {Response: &Response{Status: 700}}} {
		if (&Faults{}).Add(x) == nil {
			t.Errorf("%+v is taken", x)
		}
	}
}

func FuzzGlob(f *testing.F) {
	f.Add("/users/*/lifecycle", "/users/1/lifecycle")
	f.Add("*a*a", "aa")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		hit := glob(pattern, s)
		if !strings.Contains(pattern, "*") && hit != (pattern == s) {
			t.Errorf("%q, %q", pattern, s)
		}
		if hit && len(strings.ReplaceAll(pattern, "*", "")) > len(s) {
			t.Errorf("%q is longer than %q", pattern, s)
		}
		if !glob(strings.ReplaceAll(s, "*", "x"), strings.ReplaceAll(s, "*", "x")) || !glob("*", s) || !glob(s+"*", s+"x") {
			t.Errorf("%q does not match itself", s)
		}
	})
}

// until waits for so many answers to be held.
func (f *Faults) until(t *testing.T, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); f.Held().Now != n; {
		if time.Now().After(deadline) {
			t.Fatalf("%d answers are held, want %d", f.Held().Now, n)
		}
		runtime.Gosched()
	}
}

// TestHold: the effect is there while the answer waits; a caller that goes away
// is counted, others get the vendor's answer when the faults are cleared.
func TestHold(t *testing.T) {
	f, v := &Faults{}, &vendor{}
	server := httptest.NewServer(f.Around(v))
	defer server.Close()
	add(t, f, `{"when": "after_effect", "hold": true, "times": 1}`)
	ctx, leave := context.WithCancel(t.Context())
	post := func(ctx context.Context) chan int {
		status := make(chan int, 1)
		go func() {
			r, _ := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/users", nil)
			resp, err := server.Client().Do(r)
			if err != nil {
				status <- 0
				return
			}
			_ = resp.Body.Close()
			status <- resp.StatusCode
		}()
		return status
	}
	first := post(ctx)
	f.until(t, 1)
	if v.effects != 1 {
		t.Errorf("%d effects while the answer is held", v.effects)
	}
	leave()
	if got := <-first; got != 0 {
		t.Errorf("who left was answered %d", got)
	}
	f.until(t, 0)
	add(t, f, `{"when": "after_effect", "hold": true, "times": 1}`)
	second := post(t.Context())
	f.until(t, 1)
	f.Clear()
	if got := <-second; got != http.StatusCreated {
		t.Errorf("who stayed was answered %d", got)
	}
	if got := f.Held(); got != (Held{Cut: 1}) {
		t.Errorf("counted %+v", got)
	}
	if f.Add(Fault{Hold: true}) == nil {
		t.Error("an answer is held before the effect")
	}
}
