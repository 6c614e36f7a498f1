// Package sinktest is the list of promises that every sink keeps, run against
// the connector's fake. A sink's test describes its vendor in a [Setup] and
// calls [Run]; a bug found in one sink becomes a promise checked in all.
package sinktest

import (
	"net/http"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
)

// Setup describes one sink and its vendor.
type Setup struct {
	Type    connector.Type
	Account connector.Account // Name, Settings and Secrets; the rest is filled in; defaults of Type.Settings apply
	Fake    fake.Options
	Prefix  string // of the base URL, if the vendor's API has one that the sink does not add

	// Body is the mapped body of a person.
	Body func(Person) map[string]any
	// Also are texts that may be sent beside those of the body (our id, an
	// event type, a word of the vendor's protocol).
	Also func(connector.Delivery) []string
	// Gone tells from the fake's state whether a person may still do anything;
	// nil is a person who is not there. Nil: the vendor has no such notion.
	Gone func(person map[string]any) bool
	// Stale makes the vendor's search lag and tells the sink; nil: it never lags.
	Stale func(s *Setup, lag time.Duration)

	// Reads tells a call that only reads, though its method writes: an API that
	// posts everything to one address. Nil: the method tells.
	Reads func(method, path string, body []byte) bool

	// Stand starts a vendor that does not speak HTTP, or a real server, behind
	// faults, and tells saw of every call that arrives, with its values as JSON.
	// Nil: the connector's fake over HTTP.
	Stand func(t *testing.T, faults *fake.Faults, saw func(method, path string, body []byte)) Stand
	// Writes are the methods that a fault strikes. Nil: HTTP's.
	Writes      []string
	Untraced    bool // the protocol has no place for a trace
	Unthrottled bool // the vendor never says how long to wait

	Finds   bool // Find can find a person by the employee number
	Partial bool // later writes carry only what changed

	Throttled fake.Response // "wait", as the vendor says it
	Wait      time.Duration // what the sink should read from that
	Denied    fake.Response // the credential is refused; zero: a bare 401
	Invalid   fake.Response // a value is refused; its body should quote [Planted]; zero: a bare 422
}

// Stand is a vendor that stands ready for one promise.
type Stand struct {
	BaseURL  string
	Dial     connector.Dial
	Settings map[string]any // laid over the account's
	State    func() (people map[string]map[string]any, writes []fake.Write)
}

// Person is one made-up person.
type Person struct {
	Number, Email, Given, Family, Title string
}

// Planted is a value that must not be seen in an error.
const Planted = "Plantedová-Řezníčková"

// Sample is the person that the promises are about.
var Sample = Person{Number: "E-10417", Email: "zofia.lukasik-zak@brightfjord.example", Given: "Zofia", Family: "Łukasik-Żak", Title: "Analyst"}

// Run checks all promises that a Setup allows.
func Run(t *testing.T, s Setup) {
	t.Run("the same delivery twice has one effect", func(t *testing.T) { twice(t, s) })
	t.Run("later writes reach the same person", func(t *testing.T) { later(t, s) })
	t.Run("who was given up is made with the next version", func(t *testing.T) { givenUp(t, s) })
	t.Run("only fields of the body are sent", func(t *testing.T) { onlyBody(t, s) })
	if !s.Untraced {
		t.Run("the trace arrives", func(t *testing.T) { traced(t, s) })
	}
	t.Run("a lost answer has one effect", func(t *testing.T) { lost(t, s) })
	if !s.Unthrottled {
		t.Run("wait is throttled with its delay", func(t *testing.T) { throttled(t, s) })
	}
	t.Run("a refused credential stops the target", func(t *testing.T) { denied(t, s) })
	t.Run("a refused value is the record's fault and not told", func(t *testing.T) { invalid(t, s) })
	t.Run("a failing server is tried again", func(t *testing.T) { failing(t, s) })
	t.Run("an ended context stops the call", func(t *testing.T) { ended(t, s) })
	if s.Finds {
		t.Run("who is there is adopted", func(t *testing.T) { adopted(t, s) })
		t.Run("nobody is found where nobody is", func(t *testing.T) { nobody(t, s) })
	}
	if s.Stale != nil {
		t.Run("a stale search is waited out", func(t *testing.T) { stale(t, s) })
	}
	if s.Partial {
		t.Run("a later write carries only what changed", func(t *testing.T) { partial(t, s) })
		t.Run("what is no longer said stays", func(t *testing.T) { unsaid(t, s) })
	}
	if s.Gone != nil {
		t.Run("who left is shut out, once", func(t *testing.T) { leaver(t, s) })
		t.Run("who never came is not sent, and made if he comes after all", func(t *testing.T) { withdrawn(t, s) })
		t.Run("who comes back is let in", func(t *testing.T) { rehire(t, s) })
	}
}

// hired is the first delivery of a person.
func (s Setup) hired(p Person) connector.Delivery {
	return connector.Delivery{
		ID:      "01J9ZQ7M2K4T6V8X0A2C4E6G8J",
		Event:   "evt-1",
		Type:    "hr.employee.hired.v1",
		Version: 1,
		Status:  "active",
		Body:    s.Body(p),
		Match:   connector.Match{EmployeeNumber: p.Number, WorkEmail: p.Email},
		Changed: []string{"name.given"},
		TraceID: "4bf92f3577b34da6a3ce929d0e0e4736",
	}
}

// next is a delivery after d, as delivery would make it.
func next(d connector.Delivery, r connector.Receipt, kind, status string, body map[string]any) connector.Delivery {
	d.Previous, d.Version = d.Version, d.Version+1
	d.Event += "+"
	d.Type, d.Status, d.Was = kind, status, d.Status
	d.Before, d.Body = d.Body, body
	d.Refs = r.Refs
	return d
}

func orResponse(r fake.Response, status int) fake.Response {
	if r.Status == 0 {
		r.Status = status
	}
	return r
}

// isWrite tells a call that may have an effect.
func isWrite(method string) bool { return method != http.MethodGet && method != http.MethodHead }
