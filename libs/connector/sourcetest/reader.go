package sourcetest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

// Remote is a faked vendor as a transport: calls reach Handler without a
// network. Answer, if set, answers in its place.
type Remote struct {
	Handler http.Handler
	Answer  func(*http.Request) *http.Response
	Calls   int
}

// RoundTrip serves one call.
func (r *Remote) RoundTrip(req *http.Request) (*http.Response, error) {
	r.Calls++
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	if r.Answer != nil {
		if res := r.Answer(req); res != nil {
			res.Request = req
			return res, nil
		}
		if err := req.Context().Err(); err != nil { // it ended while Answer waited
			return nil, err
		}
	}
	in := req.Clone(req.Context())
	in.RequestURI = req.URL.RequestURI()
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	r.Handler.ServeHTTP(w, in)
	res := w.Result()
	res.Request = req
	return res, nil
}

// Says makes an answer with a status, headers in pairs and a body.
func Says(status int, body string, header ...string) func(*http.Request) *http.Response {
	return func(*http.Request) *http.Response {
		w := httptest.NewRecorder()
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.WriteString(body)
		return w.Result()
	}
}

// hangs answers when the caller gives up.
func hangs(req *http.Request) *http.Response {
	<-req.Context().Done()
	return nil
}

// Reader is what a connector's test says about its reader.
type Reader struct {
	Open    func(t *testing.T, remote *Remote) connector.Reader
	Fake    func(t *testing.T) http.Handler // a vendor that knows Known
	Known   string
	Unknown string
	Now     time.Time
}

// RunReader checks every promise of a reader.
func RunReader(t *testing.T, r Reader) {
	read := func(t *testing.T, key string, answer func(*http.Request) *http.Response) (connector.Record, error) {
		return r.Open(t, &Remote{Handler: r.Fake(t), Answer: answer}).Read(t.Context(), key)
	}
	t.Run("a known key gives a whole record", func(t *testing.T) {
		rec, err := read(t, r.Known, nil)
		if err != nil {
			t.Fatal(err)
		}
		if rec.Key != r.Known || rec.Kind != connector.KindRecord || rec.Partial || rec.Deleted || !json.Valid(rec.Body) {
			t.Errorf("record %+v", rec)
		}
		if rec.Version.Scale == connector.ScaleRead && rec.Version.Value != r.Now.UTC().Format(time.RFC3339Nano) {
			t.Errorf("version %+v, want the start of the read %s", rec.Version, r.Now)
		}
	})
	t.Run("the same state read twice has the same body", func(t *testing.T) {
		remote := &Remote{Handler: r.Fake(t)}
		reader := r.Open(t, remote)
		a, errA := reader.Read(t.Context(), r.Known)
		b, errB := reader.Read(t.Context(), r.Known)
		if errA != nil || errB != nil || string(a.Body) != string(b.Body) {
			t.Errorf("two reads differ: %v %v", errA, errB)
		}
	})
	t.Run("an unknown key is deleted, not an error", func(t *testing.T) {
		rec, err := read(t, r.Unknown, nil)
		if err != nil || !rec.Deleted || rec.Key != r.Unknown {
			t.Errorf("record %+v, error %v", rec, err)
		}
	})
	t.Run("errors say what to do", func(t *testing.T) {
		errorsSayWhatToDo(t, func(t *testing.T, answer func(*http.Request) *http.Response) error {
			rec, err := read(t, r.Known, answer)
			if rec.Deleted {
				t.Error("a failed read says that the person is gone")
			}
			return err
		})
	})
	t.Run("the context's end stops", func(t *testing.T) {
		stops(t, func(ctx context.Context) error {
			_, err := r.Open(t, &Remote{Handler: r.Fake(t), Answer: hangs}).Read(ctx, r.Known)
			return err
		})
	})
}

// Source is what a connector's test says about its source.
type Source struct {
	Open   func(t *testing.T, remote *Remote) connector.Source
	Fake   func(t *testing.T) (http.Handler, func()) // a vendor with people; the func changes one
	Keys   []string                                  // the keys of all people, in any order
	Change string                                    // the key of the one that changes
}

// RunSource checks every promise of a source.
func RunSource(t *testing.T, s Source) {
	t.Run("from the beginning everybody is there, and the end is reached", func(t *testing.T) {
		h, _ := s.Fake(t)
		got, _ := all(t, s.Open(t, &Remote{Handler: h}), "")
		for _, key := range s.Keys {
			if got[key] == 0 {
				t.Errorf("%s is missing", key)
			}
		}
	})
	t.Run("after the cursor comes what changed", func(t *testing.T) {
		h, change := s.Fake(t)
		source := s.Open(t, &Remote{Handler: h})
		_, cursor := all(t, source, "")
		if cursor == "" {
			t.Fatal("no cursor after a whole pass")
		}
		change()
		got, next := all(t, source, cursor)
		if got[s.Change] == 0 {
			t.Errorf("the change of %s was not seen", s.Change)
		}
		if next == "" {
			t.Error("the cursor went back to the beginning")
		}
	})
	t.Run("errors say what to do and leave the cursor", func(t *testing.T) {
		errorsSayWhatToDo(t, func(t *testing.T, answer func(*http.Request) *http.Response) error {
			h, _ := s.Fake(t)
			page, err := s.Open(t, &Remote{Handler: h, Answer: answer}).Changes(t.Context(), "")
			if len(page.Records) > 0 {
				t.Error("records beside an error")
			}
			return err
		})
	})
	t.Run("the context's end stops", func(t *testing.T) {
		h, _ := s.Fake(t)
		stops(t, func(ctx context.Context) error {
			_, err := s.Open(t, &Remote{Handler: h, Answer: hangs}).Changes(ctx, "")
			return err
		})
	})
}

// all pages to the end and counts keys.
func all(t *testing.T, s connector.Source, after connector.Cursor) (map[string]int, connector.Cursor) {
	t.Helper()
	got := map[string]int{}
	for range 1000 {
		page, err := s.Changes(t.Context(), after)
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range page.Records {
			got[rec.Key]++
		}
		after = page.Next
		if !page.More {
			return got, after
		}
	}
	t.Fatal("no end after 1000 pages")
	return nil, ""
}

// errorsSayWhatToDo answers every call with a failure and looks at the class.
func errorsSayWhatToDo(t *testing.T, call func(*testing.T, func(*http.Request) *http.Response) error) {
	const secret = "Zażółć-4711"
	for _, c := range []struct {
		name   string
		answer func(*http.Request) *http.Response
		class  fault.Class
		after  time.Duration
	}{
		{"429 is throttled for as long as it says", Says(429, secret, "Retry-After", "17"), fault.Throttled, 17 * time.Second},
		{"503 with a delay is throttled", Says(503, secret, "Retry-After", "9"), fault.Throttled, 9 * time.Second},
		{"503 without is tried again", Says(503, secret), fault.Transient, 0},
		{"500 is tried again", Says(500, secret), fault.Transient, 0},
		{"401 stops the account", Says(401, secret), fault.Target, 0},
		{"a page instead of JSON is tried again", Says(200, "<html>"+secret), fault.Transient, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := call(t, c.answer)
			f := fault.Of(err)
			if f == nil || f.Class != c.class || f.Reason == "" || f.Reason == "unclassified" {
				t.Fatalf("error %v, want class %s", err, c.class)
			}
			if c.after != 0 && f.After != c.after {
				t.Errorf("waits %s, want %s", f.After, c.after)
			}
			if contains(err, secret) {
				t.Error("the error's text holds the body of the answer")
			}
		})
	}
}

func stops(t *testing.T, call func(context.Context) error) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- call(ctx) }()
	cancel()
	select {
	case err := <-done:
		if err == nil || !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want the context's", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("still running 10 s after its context ended")
	}
}

func contains(err error, s string) bool { return err != nil && strings.Contains(err.Error(), s) }
