// Package fake is the contract of the faked vendors: small HTTP programs with
// memory that answer like the vendor, errors and limits included. Tests, the
// sandbox and the demo use the same ones. Each connector has its own in a
// folder `fake` beside it.
package fake

import (
	"context"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Vendor is one faked vendor. The handler serves the vendor's API with its
// real paths, rooted at "/".
type Vendor interface {
	http.Handler
	// Log is the memory that the sandbox shows.
	Log() *Log
	// Do plays what a person does in the vendor's screens: hire, raise, move,
	// terminate, rehire. It answers with {"id": …}. A verb it does not know is
	// [ErrUnknownVerb].
	Do(ctx context.Context, verb string, args map[string]any) (map[string]any, error)
}

// Listener is a vendor that does not speak HTTP (LDAP, SFTP): it listens at an
// address of its own, and its handler has nothing to serve.
type Listener interface {
	Vendor
	// Serve takes connections until ctx ends, then closes them all and l, and
	// returns nil. Every call goes through f: see [Faults.Strike] and
	// [Faults.Note].
	Serve(ctx context.Context, l net.Listener, f *Faults) error
}

// Hook is a webhook call the vendor makes, signed and complete.
type Hook struct {
	Header http.Header
	Body   []byte
}

// Options set up a fake. The zero value works.
type Options struct {
	Now      func() time.Time                     // default time.Now
	Send     func(ctx context.Context, hook Hook) // delivers a webhook to the configured source; nil: none are sent
	Secret   string                               // webhook secret
	Settings map[string]string                    // what a connector's fake documents
}

// Time is the fake's now, in UTC.
func (o Options) Time() time.Time {
	if o.Now != nil {
		return o.Now().UTC()
	}
	return time.Now().UTC()
}

// Emit sends a hook if somebody listens.
func (o Options) Emit(ctx context.Context, h Hook) {
	if o.Send != nil {
		o.Send(ctx, h)
	}
}

// ErrUnknownVerb is what Do says to a verb that the vendor does not have.
type ErrUnknownVerb string

// Error names the verb.
func (e ErrUnknownVerb) Error() string { return "this vendor cannot " + string(e) }

// Op is the kind of a write.
type Op string

// The kinds of writes.
const (
	Create  Op = "create"
	Update  Op = "update"
	Disable Op = "disable"
	Enable  Op = "enable"
	Delete  Op = "delete"
	Other   Op = "other"
)

// Write is one state-changing call that took effect.
type Write struct {
	At          time.Time `json:"at"`
	Key         string    `json:"key"`
	Op          Op        `json:"op"`
	Body        any       `json:"body,omitempty"`
	Traceparent string    `json:"traceparent,omitempty"`
}

// Log keeps a fake's people and writes. Safe for concurrent use.
type Log struct {
	mu     sync.Mutex
	people map[string]map[string]any
	writes []Write
}

// Put stores a person as the state shall show it; nil removes.
func (l *Log) Put(id string, person map[string]any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.people == nil {
		l.people = map[string]map[string]any{}
	}
	if person == nil {
		delete(l.people, id)
		return
	}
	l.people[id] = maps.Clone(person)
}

// Wrote notes a write that took effect.
func (l *Log) Wrote(w Write) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writes = append(l.writes, w)
}

// State is a copy of the memory: people by id, writes oldest first.
func (l *Log) State() (people map[string]map[string]any, writes []Write) {
	l.mu.Lock()
	defer l.mu.Unlock()
	people = make(map[string]map[string]any, len(l.people))
	for id, p := range l.people {
		people[id] = maps.Clone(p)
	}
	return people, slices.Clone(l.writes)
}
