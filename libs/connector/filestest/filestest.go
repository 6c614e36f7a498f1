// Package filestest is the list of promises that every connector of files keeps,
// run against its fake. A connector's test describes its receiver in a [Setup]
// and calls [Run]; a bug found in one becomes a promise checked in all.
package filestest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connector/fake/sftpserver"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/secret"
)

// Setup describes one connector of files and its receiver.
type Setup struct {
	Type     connector.Type
	Settings map[string]any // of the account; user, host key and private key of the fake are filled in, defaults of Type.Settings apply

	// Changes are of different people and each give a piece; there are at least two.
	Changes []connector.Delivery
	Nothing []connector.Delivery // each does not concern the receiver
	Wrong   []connector.Delivery // each is one that no file may hold; put [Planted] into its body

	// Answer makes the receiver say of a file, that was brought to the fake by
	// its parts' names, that the piece at index 1 is refused. Nil: it never answers.
	Answer func(t *testing.T, v fake.Vendor, f connector.File, number int64)
}

// Planted is a value that must not be seen in an error, a name or an answer.
const Planted = "Plantedová-Řezníčková"

// At is the time in files that are built here, and the fake's.
var At = time.Date(2026, 3, 2, 14, 30, 0, 0, time.UTC)

// Run checks all promises.
func Run(t *testing.T, s Setup) {
	if len(s.Changes) < 2 {
		t.Fatal("filestest needs two changes")
	}
	t.Run("the same change gives the same piece", func(t *testing.T) { pieces(t, s) })
	t.Run("what is wrong with a person is told by its piece", func(t *testing.T) { wrong(t, s) })
	t.Run("the same pieces give the same file", func(t *testing.T) { build(t, s) })
	t.Run("a number has names of its own", func(t *testing.T) { names(t, s) })
	t.Run("put twice is put once", func(t *testing.T) { twice(t, s) })
	t.Run("a put that was cut off leaves no half file and can be done again", func(t *testing.T) { cutOff(t, s) })
	t.Run("a lost answer to a put is put once", func(t *testing.T) { lost(t, s) })
	t.Run("what was brought is never overwritten", func(t *testing.T) { overwritten(t, s) })
	t.Run("a refused login stops the target", func(t *testing.T) { denied(t, s) })
	t.Run("an ended context stops the put", func(t *testing.T) { ended(t, s) })
	t.Run("nothing to say is no error", func(t *testing.T) { silence(t, s) })
	if s.Answer != nil {
		t.Run("an answer refuses its piece, and can be read again", func(t *testing.T) { answers(t, s) })
	}
}

// receiver is a fake that stands ready, and a connector at it.
type receiver struct {
	files  connector.Files
	vendor fake.Vendor
	faults *fake.Faults
}

func (s Setup) stand(t *testing.T, user string) *receiver {
	t.Helper()
	settings := map[string]any{}
	for name, set := range s.Type.Settings {
		if set.Default != nil && set.For != connector.AsSource {
			settings[name] = set.Default
		}
	}
	for name, v := range s.Settings {
		settings[name] = v
	}
	settings["user"], settings["host_key"] = "hub", []string{sftpserver.HostKey()}
	texts := map[string]string{}
	for name, v := range settings {
		texts[name] = fmt.Sprint(v)
	}
	r := &receiver{vendor: s.Type.Fake(fake.Options{Now: func() time.Time { return At }, Settings: texts}), faults: &fake.Faults{}}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.vendor.(fake.Listener).Serve(ctx, l, r.faults) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	settings["user"] = user
	r.files, err = s.Type.Files(connector.Account{
		Name: "files", BaseURL: cmp.Or(s.Type.Schemes...) + "://" + l.Addr().String(), Settings: settings, Now: func() time.Time { return At },
		Secrets: map[string]secret.Value{"private_key": secret.New(sftpserver.ClientKey())},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// there are the files that lie at the receiver, by name, as they were brought
// last: a file whose name a later write removed is not among them.
func (r *receiver) there() map[string]string {
	people, writes := r.vendor.Log().State()
	out := map[string]string{}
	for _, w := range writes {
		if body, ok := w.Body.(string); ok && people[w.Key] != nil {
			out[w.Key] = body
		}
	}
	return out
}

// brought counts how often a part came under its name.
func (r *receiver) brought(part string) (n int) {
	_, writes := r.vendor.Log().State()
	for _, w := range writes {
		if w.Op == fake.Create && last(w.Key) == part {
			n++
		}
	}
	return n
}

func (r *receiver) content(part string) (string, bool) {
	for name, body := range r.there() {
		if last(name) == part {
			return body, true
		}
	}
	return "", false
}

func last(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// file builds one of all changes.
func (r *receiver) file(t *testing.T, s Setup, number int64) connector.File {
	t.Helper()
	f, err := r.files.Build(connector.Numbering{Number: number, Previous: number - 1, At: At}, r.pieces(t, s))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (r *receiver) pieces(t *testing.T, s Setup) (out []connector.Piece) {
	t.Helper()
	for _, d := range s.Changes {
		p, err := r.files.Piece(d)
		if err != nil {
			t.Fatalf("the piece of %s: %v", d.ID, err)
		}
		if len(p.Content) == 0 {
			t.Fatalf("%s gives no piece", d.ID)
		}
		out = append(out, p)
	}
	return out
}

func want(t *testing.T, err error, class fault.Class, reason string) {
	t.Helper()
	if f := fault.Of(err); f == nil || f.Class != class || reason != "" && f.Reason != reason {
		t.Errorf("got %v, want %s %s", err, class, reason)
	}
}

func same(a, b connector.File) bool {
	return slices.Equal(a.Starts, b.Starts) && slices.EqualFunc(a.Parts, b.Parts, func(x, y connector.FilePart) bool {
		return x.Name == y.Name && bytes.Equal(x.Content, y.Content)
	})
}
