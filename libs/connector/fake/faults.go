package fake

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// When says on which side of the effect a fault strikes.
type When string

// The sides. With AfterEffect the vendor does what was asked and its answer is
// lost: the connection is cut, or a given status or response goes out instead.
const (
	Before      When = "before"
	AfterEffect When = "after_effect"
)

// Fault is one disturbance of a faked vendor. Without a status and a response
// it only delays (or, after the effect, cuts the connection).
type Fault struct {
	Status    int       `json:"status,omitempty"`     // answered instead of the vendor's answer
	Rate      float64   `json:"rate,omitempty"`       // share of the matching calls, 0 means all
	LatencyMS int       `json:"latency_ms,omitempty"` // waited before anything else
	ForS      float64   `json:"for_s,omitempty"`      // ends after so many seconds, 0 means never
	Times     int       `json:"times,omitempty"`      // ends after so many strikes, 0 means never
	When      When      `json:"when,omitempty"`       // default before
	Match     Match     `json:"match,omitzero"`       // default every call
	Response  *Response `json:"response,omitempty"`   // answered instead; its zero status means Status, else 200
	Hold      bool      `json:"hold,omitempty"`       // after the effect the answer waits until the caller is gone or the faults are cleared, at most 10 s
}

// Match chooses calls. Empty fields match everything.
type Match struct {
	Method string `json:"method,omitempty"`
	Path   string `json:"path,omitempty"` // below the vendor's root; "*" stands for any run of characters
}

// Response is a prepared answer. A body that is JSON text is sent as that text,
// any other JSON value as JSON.
type Response struct {
	Status  int               `json:"status,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    json.RawMessage   `json:"body,omitempty"`
}

// Seen is one call as the request log keeps it; status 0 is a cut connection.
type Seen struct {
	At          time.Time `json:"at"`
	Method      string    `json:"method"`
	Path        string    `json:"path"`
	Status      int       `json:"status"`
	Traceparent string    `json:"traceparent,omitempty"`
}

// keepSeen bounds the request log; the oldest half goes when it is full.
const keepSeen = 100_000

// Faults stands in front of a faked vendor: it notes every call and disturbs
// those that were asked for. The zero value disturbs nothing. Safe for
// concurrent use. Durations run on the real clock, whatever the vendor's is.
type Faults struct {
	mu     sync.Mutex
	faults []*active
	seen   []Seen
	held   Held
	free   chan struct{} // closed by Clear; nil if nobody asked for it
}

// Held counts calls that took effect and whose answer is, or was, held.
type Held struct {
	Now int `json:"now"` // wait for their answer
	Cut int `json:"cut"` // whose caller went away meanwhile: it never learnt of its effect
}

type active struct {
	Fault
	until time.Time
	left  int // strikes left, -1 means no end
}

// Add lets a fault loose from now on. Older faults come first.
func (f *Faults) Add(x Fault) error {
	switch {
	case x.When != "" && x.When != Before && x.When != AfterEffect:
		return fmt.Errorf("when is %q: write before or after_effect", x.When)
	case x.Hold && x.When != AfterEffect:
		return fmt.Errorf("hold needs when: after_effect")
	case x.Rate < 0 || x.Rate > 1:
		return fmt.Errorf("rate is a share from 0 to 1")
	case x.LatencyMS < 0 || x.ForS < 0 || x.Times < 0:
		return fmt.Errorf("latency_ms, for_s and times are not negative")
	case !validStatus(x.Status) || (x.Response != nil && !validStatus(x.Response.Status)):
		return fmt.Errorf("status is from 200 to 599")
	}
	a := &active{Fault: x, left: -1}
	if x.ForS > 0 {
		a.until = time.Now().Add(time.Duration(x.ForS * float64(time.Second)))
	}
	if x.Times > 0 {
		a.left = x.Times
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, a)
	return nil
}

func validStatus(s int) bool { return s == 0 || (s >= 200 && s <= 599) }

// Clear ends all faults, and the delays and holds under way.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
	if f.free != nil {
		close(f.free)
		f.free = nil
	}
}

// Held tells how many answers are held, and how many never came.
func (f *Faults) Held() Held {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.held
}

// cleared is closed by the next Clear.
func (f *Faults) cleared() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.free == nil {
		f.free = make(chan struct{})
	}
	return f.free
}

const holdLimit = 10 * time.Second

// Hold waits with the answer; false means that the caller, whose context ctx
// is, went away.
func (f *Faults) Hold(ctx context.Context) bool {
	free := f.cleared()
	f.mu.Lock()
	f.held.Now++
	f.mu.Unlock()
	t := time.NewTimer(holdLimit)
	defer t.Stop()
	gone := false
	select {
	case <-ctx.Done():
		gone = true
	case <-free:
	case <-t.C:
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held.Now--
	if gone {
		f.held.Cut++
	}
	return !gone
}

// Requests is a copy of the request log, oldest first.
func (f *Faults) Requests() []Seen {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.seen)
}

// Around puts the faults and the request log before a vendor.
func (f *Faults) Around(vendor http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := Seen{At: time.Now().UTC(), Method: r.Method, Path: r.URL.EscapedPath(), Traceparent: r.Header.Get("Traceparent")}
		cleared := f.cleared() // before the strike: a Clear right after it ends this delay too
		x, struck := f.Strike(r.Method, seen.Path)
		if struck && x.LatencyMS > 0 && !delay(r, x.LatencyMS, cleared) {
			f.Note(seen)
			panic(http.ErrAbortHandler)
		}
		answers := x.Status != 0 || x.Response != nil
		if struck && x.When != AfterEffect && answers {
			seen.Status = x.status()
			f.Note(seen)
			x.write(w)
			return
		}
		// The answer is held back until the call is in the log: who got an
		// answer finds its call there.
		held := &recorder{header: http.Header{}}
		vendor.ServeHTTP(held, r)
		if struck && x.Hold {
			if held.code() < 300 && !f.Hold(r.Context()) {
				f.Note(seen)
				panic(http.ErrAbortHandler)
			}
			struck = answers // else the vendor's own answer goes out
		}
		if struck && x.When == AfterEffect {
			if !answers {
				f.Note(seen)
				panic(http.ErrAbortHandler) // cuts the connection without an answer
			}
			seen.Status = x.status()
			f.Note(seen)
			x.write(w)
			return
		}
		seen.Status = held.code()
		f.Note(seen)
		maps.Copy(w.Header(), held.header)
		w.WriteHeader(held.code())
		_, _ = w.Write(held.body.Bytes())
	})
}

// Strike finds the first fault that hits this call and counts it. [Faults.Around]
// calls it for HTTP; a [Listener] calls it itself, with its own words for
// methods and paths.
func (f *Faults) Strike(method, path string) (Fault, bool) {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = slices.DeleteFunc(f.faults, func(a *active) bool {
		return a.left == 0 || (!a.until.IsZero() && !now.Before(a.until))
	})
	for _, a := range f.faults {
		if !a.Match.hits(method, path) || (a.Rate > 0 && rand.Float64() >= a.Rate) {
			continue
		}
		if a.left > 0 {
			a.left--
		}
		return a.Fault, true
	}
	return Fault{}, false
}

// Note keeps a call in the request log.
func (f *Faults) Note(s Seen) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.seen) >= keepSeen {
		f.seen = slices.Delete(f.seen, 0, keepSeen/2)
	}
	f.seen = append(f.seen, s)
}

func (m Match) hits(method, path string) bool {
	return (m.Method == "" || strings.EqualFold(m.Method, method)) && (m.Path == "" || glob(m.Path, path))
}

// glob matches "*" with any run of characters, slashes included.
func glob(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	last := len(parts) - 1
	s, ok := strings.CutPrefix(s, parts[0])
	if !ok {
		return false
	}
	for _, p := range parts[1:last] {
		i := strings.Index(s, p)
		if i < 0 {
			return false
		}
		s = s[i+len(p):]
	}
	return strings.HasSuffix(s, parts[last])
}

func (x Fault) status() int {
	switch {
	case x.Response != nil && x.Response.Status != 0:
		return x.Response.Status
	case x.Status != 0:
		return x.Status
	}
	return http.StatusOK
}

func (x Fault) write(w http.ResponseWriter) {
	var body []byte
	if x.Response != nil {
		for k, v := range x.Response.Headers {
			w.Header().Set(k, v)
		}
		body = x.Response.Body
		var text string
		if json.Unmarshal(body, &text) == nil {
			body = []byte(text)
		} else if len(body) > 0 && w.Header().Get("Content-Type") == "" {
			w.Header().Set("Content-Type", "application/json")
		}
	}
	w.WriteHeader(x.status())
	_, _ = w.Write(body)
}

// delay holds a call back until the faults are cleared at the latest; false means
// that the caller went away. That is noticed only once the call was read whole.
func delay(r *http.Request, ms int, cleared <-chan struct{}) bool {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	t := time.NewTimer(time.Duration(ms) * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-cleared:
		return true
	case <-r.Context().Done():
		return false
	}
}

// recorder holds a vendor's answer back.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *recorder) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(b)
}

func (r *recorder) code() int {
	if r.status == 0 {
		return http.StatusOK
	}
	return r.status
}
