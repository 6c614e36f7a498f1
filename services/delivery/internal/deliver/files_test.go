package deliver

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/topology"
)

// receiver takes files of lines "employee given<before" and answers for them.
type receiver struct {
	mu      sync.Mutex
	terms   connector.FileTerms
	format  string                   // of a line's end: another one gives other bytes
	was     func(connector.Delivery) // if set, sees what is asked for a piece
	there   map[string]string
	puts    []string // names, also of those that fail
	answers map[int64]connector.Answer
	asked   int
	fail    func(f connector.File, n int) error // before the effect of the n-th Put
	after   func(f connector.File, n int) error
}

func newReceiver() *receiver {
	return &receiver{there: map[string]string{}, answers: map[int64]connector.Answer{}, format: "\n"}
}

func (r *receiver) Terms() connector.FileTerms { return r.terms }

func given(body map[string]any) string {
	n, _ := body["name"].(map[string]any)
	s, _ := n["given"].(string)
	return s
}

func (r *receiver) Piece(d connector.Delivery) (connector.Piece, error) {
	r.mu.Lock()
	if r.was != nil {
		r.was(d)
	}
	r.mu.Unlock()
	switch name := given(d.Body); name {
	case "Wrong":
		return connector.Piece{}, &fault.Error{Class: fault.Record, Reason: "bad_name", Path: "given"}
	case given(d.Before):
		return connector.Piece{}, nil
	default:
		p := connector.Piece{Key: "of " + d.ID, Content: fmt.Appendf(nil, "%s %s<%s %s", d.ID, name, given(d.Before), d.Status)}
		if strings.HasPrefix(name, "Key") {
			p.Key, p.Also = "other"+d.ID, []string{name[:4] + d.ID}
		}
		return p, nil
	}
}

func (r *receiver) Build(n connector.Numbering, pieces []connector.Piece) (connector.File, error) {
	f := connector.File{Parts: []connector.FilePart{{Name: fmt.Sprintf("F%03d", n.Number)}}}
	b := fmt.Appendf(nil, "%d after %d at %s%s", n.Number, n.Previous, n.At.Format(time.RFC3339Nano), r.format)
	for _, p := range pieces {
		f.Starts = append(f.Starts, len(b))
		b = append(append(b, p.Content...), r.format...)
	}
	f.Parts[0].Content = b
	return f, nil
}

func (r *receiver) Put(_ context.Context, f connector.File) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	name, content := f.Parts[0].Name, string(f.Parts[0].Content)
	r.puts = append(r.puts, name)
	n := len(r.puts)
	if r.fail != nil {
		if err := r.fail(f, n); err != nil {
			return err
		}
	}
	switch was, there := r.there[name]; {
	case there && was != content:
		return fault.New(fault.Record, connector.ReasonFileExists, "another file has this name")
	default:
		r.there[name] = content
	}
	if r.after != nil {
		return r.after(f, n)
	}
	return nil
}

func (r *receiver) Answers(_ context.Context, open []connector.Sent) (out []connector.Answer, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	for _, s := range open {
		if a, ok := r.answers[s.Number]; ok {
			a.Number, a.ID = s.Number, "a"+fmt.Sprint(s.Number)
			out = append(out, a, a) // each twice: a repeat changes nothing
		}
	}
	return out, nil
}

func (r *receiver) answer(number int64, refused ...connector.Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers[number] = connector.Answer{Refused: refused}
}

// lines are those of a file that is there, without its first.
func (r *receiver) lines(name string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := strings.Split(strings.TrimSpace(r.there[name]), strings.TrimSpace(r.format)+"\n")
	return all[min(1, len(all)):]
}

func (r *receiver) names() (out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n := range r.there {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// filesWorld is a world whose target takes files, one as soon as a change waits.
func filesWorld(t *testing.T) (*world, *receiver) {
	w := newWorld(t)
	w.to.Files = config.FilePlan{Every: time.Millisecond, Answers: 10 * time.Millisecond}
	return w, newReceiver()
}

func (w *world) files(r *receiver) *running {
	w.t.Helper()
	return w.run(func(d *Deps) { d.Sink, d.Files = nil, r })
}

// until waits for something to be so.
func (w *world) wait(what string, so func() bool) {
	w.t.Helper()
	w.eventually(func() string {
		if so() {
			return ""
		}
		return what
	})
}

// fileRecords are what is told of files, as "number outcome".
func (w *world) fileRecords() (out []record.File) {
	w.t.Helper()
	err := w.bus.Each(w.t.Context(), topology.Delivered, topology.DeliveredFiles(target), func(in bus.In) error {
		f, err := record.OpenFile(in.Event)
		out = append(out, f)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func (w *world) fileOutcomes() (out []string) {
	for _, f := range w.fileRecords() {
		out = append(out, fmt.Sprintf("%d %s", f.Number, f.Outcome))
	}
	return out
}

func (w *world) fileUntil(want string) {
	w.t.Helper()
	w.eventually(func() string {
		if all := w.fileOutcomes(); !slices.Contains(all, want) {
			return fmt.Sprintf("want %q, records of files are %q", want, all)
		}
		return ""
	})
}

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// TestAFileIsTheEnd: a receiver that does not answer. What it was told is what
// the next change differs from.
func TestAFileIsTheEnd(t *testing.T) {
	w, r := filesWorld(t)
	w.files(r)
	w.named("emp1", 1, "Ada")
	w.fileUntil("1 settled")
	w.named("emp1", 2, "Grace")
	w.fileUntil("2 settled")
	same(t, "file 1", []string{"emp1 Ada< active"}, r.lines("F001"))
	same(t, "file 2", []string{"emp1 Grace<Ada active"}, r.lines("F002"))
	same(t, "records", []string{"1 accepted", "1 accepted", "2 accepted", "2 accepted"}, w.outcomes("emp1"))
	same(t, "files", []string{"1 intended", "1 accepted", "1 settled", "2 intended", "2 accepted", "2 settled"}, w.fileOutcomes())
	rs := w.records("emp1")
	if rs[0].Reason != "staged" || len(rs[0].Staged) != 1 || rs[1].Reason != "uploaded" || rs[1].File != 1 || rs[1].Rule != "file 1" || len(rs[1].Staged) != 0 ||
		rs[1].Purpose != "access" || len(rs[1].Fields) == 0 {
		t.Errorf("records %+v", rs)
	}
	f := w.fileRecords()[0]
	if len(f.Members) != 1 || f.Members[0] != (record.Member{Employee: "emp1", Event: eventID("emp1", 1), Version: 1}) || len(f.SHA256[0]) != hex.EncodedLen(32) || f.Previous != 0 {
		t.Errorf("the intent is %+v", f)
	}
	if last := w.fileRecords()[5]; last.Applied != 1 || last.Previous != 1 {
		t.Errorf("the end is %+v", last)
	}
}

// TestAPieceIsSealed: neither its bytes nor what it was built on can be read
// without the person's key.
func TestAPieceIsSealed(t *testing.T) {
	w, r := filesWorld(t)
	w.to.Files.Every = time.Hour
	w.files(r)
	w.named("emp1", 1, "Zebedee")
	w.until("emp1", "1 accepted")
	w.named("emp1", 2, "Zachary")
	w.until("emp1", "2 accepted")
	err := w.bus.Each(t.Context(), topology.Delivered, "hr.delivered.>", func(in bus.In) error {
		for _, secret := range []string{"Zebedee", "Zachary"} {
			if bytes.Contains(in.Event.Data(), []byte(secret)) {
				t.Errorf("%s holds a name", in.Subject)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got := w.last("emp1").Staged
	if len(got) != 2 || string(got[0].Content) != "emp1 Zebedee< active" || given(got[1].Before) != "Zebedee" {
		t.Errorf("staged %+v", got)
	}
}

// TestWhatCannotBeInAFile is found before there is one, and what says nothing
// to the receiver makes none.
func TestWhatCannotBeInAFile(t *testing.T) {
	w, r := filesWorld(t)
	w.files(r)
	w.named("emp1", 1, "Wrong")
	w.until("emp1", "1 dead")
	w.named("emp2", 1, "Ada")
	w.fileUntil("1 settled")
	w.say("emp2", 2, state{fields: employee.Flat{"name.given": "Ada", "name.family": "L"}})
	w.until("emp2", "2 unchanged")
	w.named("emp1", 2, "Grace")
	w.fileUntil("2 settled")
	same(t, "file 2", []string{"emp1 Grace< active"}, r.lines("F002"))
	if l := w.letters(); len(l) != 1 || l[0].Reason != "bad_name" || l[0].Path != "given" {
		t.Errorf("letters %+v", l)
	}
}

// TestACrashBeforePut: the first Put broke in the middle. The next process
// brings the same bytes under the same name and number.
func TestACrashBeforePut(t *testing.T) {
	w, r := filesWorld(t)
	reached := make(chan string, 8)
	r.fail = func(f connector.File, _ int) error {
		reached <- string(f.Parts[0].Content)
		return fault.New(fault.Transient, "connection", "it broke")
	}
	first := w.files(r)
	w.named("emp1", 1, "Ada")
	want := <-reached
	first.stop()
	w.named("emp2", 1, "Grace")
	r.mu.Lock()
	r.fail = nil
	r.mu.Unlock()
	w.files(r)
	w.fileUntil("1 settled")
	w.fileUntil("2 settled")
	if got := r.there["F001"]; got != want {
		t.Errorf("the file is %q, it was intended as %q", got, want)
	}
	same(t, "file 2", []string{"emp2 Grace< active"}, r.lines("F002"))
	same(t, "names", []string{"F001", "F002"}, r.names())
}

// TestACrashAfterPut: the file is there, and nobody could say so.
func TestACrashAfterPut(t *testing.T) {
	w, r := filesWorld(t)
	var first *running
	started := make(chan struct{})
	r.after = func(_ connector.File, n int) error {
		if n == 1 {
			<-started
			_ = first.bus.Close() // from here on the process says nothing any more
		}
		return nil
	}
	first = w.files(r)
	close(started)
	w.named("emp1", 1, "Ada")
	w.wait("a file", func() bool { return len(r.names()) == 1 })
	first.stop()
	if got := w.fileOutcomes(); len(got) != 1 {
		t.Fatalf("records of files %q: the crash came too late", got)
	}
	want := r.there["F001"]
	w.files(r)
	w.fileUntil("1 settled")
	same(t, "puts", []string{"F001", "F001"}, r.puts)
	if got := r.there["F001"]; got != want {
		t.Errorf("it is %q now", got)
	}
	same(t, "records", []string{"1 accepted", "1 accepted"}, w.outcomes("emp1"))
}

// TestNumbersHaveNoGaps over restarts, from the first that was agreed.
func TestNumbersHaveNoGaps(t *testing.T) {
	w, r := filesWorld(t)
	r.terms.FirstNumber = 186
	for n := uint64(1); n <= 3; n++ {
		p := w.files(r)
		w.named("emp1", n, fmt.Sprint("Ada", n))
		w.fileUntil(fmt.Sprint(185+n, " settled"))
		p.stop()
	}
	same(t, "names", []string{"F186", "F187", "F188"}, r.names())
	if fs := w.fileRecords(); fs[3].Previous != 186 {
		t.Errorf("the second one comes after %d", fs[3].Previous)
	}
}

// TestTheSameKeyWaits for the next file, and so does what comes after it.
func TestTheSameKeyWaits(t *testing.T) {
	w, r := filesWorld(t)
	w.to.Files = config.FilePlan{Every: time.Hour, Answers: time.Hour, Most: 4}
	w.files(r)
	for v, name := range []string{"KeyA1", "KeyA2", "KeyB"} {
		w.named("emp1", uint64(v+1), name)
		w.until("emp1", fmt.Sprint(v+1, " accepted"))
	}
	same(t, "names before it is full", 0, len(r.names()))
	w.named("emp2", 1, "KeyA1")
	w.fileUntil("1 settled")
	same(t, "file 1", []string{"emp1 KeyA1< active", "emp2 KeyA1< active"}, r.lines("F001"))
	w.named("emp3", 1, "Ada")
	w.named("emp4", 1, "Ada")
	w.fileUntil("2 settled")
	same(t, "file 2", []string{"emp1 KeyA2<KeyA1 active"}, slices.DeleteFunc(r.lines("F002"), func(l string) bool { return !strings.HasPrefix(l, "emp1") }))
}

// TestARefusal: one is refused, the other taken. What the refused person's next
// change differs from is what the receiver really has.
// TestARecordWhoseAnswerWasLost: the broker stores that a piece is staged and
// dies before it says so. The piece goes out all the same, before newer ones.
func TestARecordWhoseAnswerWasLost(t *testing.T) {
	d, err := New(Deps{Company: &config.Company{}, Target: &config.Target{Files: config.FilePlan{Every: time.Hour}}, Files: newReceiver(), Sink: nil})
	if err != nil {
		t.Fatal(err)
	}
	f, now := d.filing, time.Now()
	staged := []record.Staged{{Event: "a", Version: 1, At: now}, {Event: "b", Version: 2, At: now.Add(1)}, {Event: "c", Version: 3, At: now.Add(2)}}
	f.learn("emp1", staged[:1])
	f.move([]record.Member{{Employee: "emp1", Event: "a", Version: 1}}, 7)
	f.learn("emp1", staged[2:]) // of 2 nobody was told
	f.learn("emp1", staged)
	var order []uint64
	for _, w := range f.inOrder() {
		order = append(order, w.version)
	}
	same(t, "the order of what waits", []uint64{2, 3}, order)
	if f.free != 2 || !f.inFile("emp1", "a") {
		t.Errorf("%d wait, want 2; the first is on its way: %t", f.free, f.inFile("emp1", "a"))
	}
}

// TestALaneIsNotOverrun: who gathers pieces reads no record beside the lane that
// writes the next one.
func TestALaneIsNotOverrun(t *testing.T) {
	w, r := filesWorld(t)
	d, _ := w.make(func(d *Deps) { d.Sink, d.Files = nil, r })
	done := d.filing.lock("emp1") // by the lane
	read := make(chan *record.Delivery)
	go func() {
		m, err := d.filing.known(t.Context(), "emp1")
		if err != nil {
			t.Error(err)
		}
		read <- m
	}()
	select {
	case <-read:
		t.Fatal("read while the lane writes")
	case <-time.After(50 * time.Millisecond): // what is not read by now waits
	}
	d.kept(&record.Delivery{Employee: "emp1", Version: 2})
	done()
	if m := <-read; m.Version != 2 {
		t.Errorf("version %d, want the one that the lane wrote", m.Version)
	}
}

func TestARefusal(t *testing.T) {
	w, r := filesWorld(t)
	r.terms.Confirms = true
	w.to.Files.Most, w.to.Files.Every = 2, time.Hour
	w.files(r)
	w.named("emp1", 1, "Ada")
	w.until("emp1", "1 accepted")
	w.named("emp2", 1, "Grace")
	w.fileUntil("1 accepted")
	w.named("emp2", 2, "Hopper") // waits, and stands on what is refused
	w.until("emp2", "2 accepted")
	i := slices.IndexFunc(r.lines("F001"), func(l string) bool { return strings.HasPrefix(l, "emp2") })
	r.answer(1, connector.Refusal{Index: i, Reason: "unknown_code", Path: "given", Rule: "line 3"})
	w.fileUntil("1 settled")
	same(t, "records", []string{"1 accepted", "1 applied"}, w.outcomes("emp1"))
	same(t, "records", []string{"1 accepted", "2 accepted", "2 dead", "1 dead"}, w.outcomes("emp2"))
	letters := w.letters()
	if len(letters) != 2 || letters[0].Version+letters[1].Version != 3 {
		t.Fatalf("letters %+v", letters)
	}
	for _, l := range letters {
		if l.Reason != "unknown_code" || l.Path != "given" || l.Rule != "line 3" || l.Class != "record" || l.Integration != "main" {
			t.Errorf("letter %+v", l)
		}
	}
	if m := w.last("emp2"); m.Body != nil || m.Digest != "" || m.File != 1 || m.Done != 2 {
		t.Errorf("what is known of the refused: %+v", m)
	}
	w.named("emp2", 3, "Grace Hopper")
	w.named("emp1", 2, "Lovelace")
	w.fileUntil("2 accepted")
	lines := r.lines("F002")
	slices.Sort(lines)
	same(t, "file 2", []string{"emp1 Lovelace<Ada active", "emp2 Grace Hopper< active"}, lines)
	w.metrics.read(func(m *metrics) {
		if m.dead != 2 || m.latency != 1 {
			t.Errorf("%d dead, %d latencies", m.dead, m.latency)
		}
	})
}

// TestARefusalWithTheNextOnItsWay: two files wait for their answers. The second
// meets its own end, and what the receiver is known to have is from before both.
func TestARefusalWithTheNextOnItsWay(t *testing.T) {
	for name, second := range map[string][]connector.Refusal{"taken": nil, "refused too": {{Index: 0, Reason: "unknown"}}} {
		t.Run(name, func(t *testing.T) {
			w, r := filesWorld(t)
			r.terms.Confirms = true
			first := w.files(r)
			w.named("emp1", 1, "Ada")
			w.fileUntil("1 accepted")
			w.named("emp1", 2, "Grace")
			w.fileUntil("2 accepted")
			first.stop()
			r.answer(1, connector.Refusal{Index: 0, Reason: "no"})
			next := w.files(r)
			w.fileUntil("1 settled")
			if m := w.last("emp1"); m.Body != nil || len(m.Staged) != 1 || !m.Staged[0].Cut {
				t.Errorf("after the first: %+v", m)
			}
			w.named("emp1", 3, "Hopper")
			w.fileUntil("3 accepted")
			next.stop()
			r.answer(2, second...)
			w.files(r)
			w.fileUntil("2 settled")
			if m := w.last("emp1"); given(m.Body) != "Hopper" {
				t.Errorf("the second one's end changed what was told later: %+v", m.Body)
			}
			same(t, "file 3", []string{"emp1 Hopper< active"}, r.lines("F003"))
		})
	}
}

// reply is what the receiver says to a file: nil is not yet, none taken.
type reply struct {
	number  int64
	refused []connector.Refusal
}

// TestNoWrongValueStays: the receiver may have what was told after a change that
// it refused. Whatever is told then comes from that too.
func TestNoWrongValueStays(t *testing.T) {
	no, others := []connector.Refusal{{Index: 0, Reason: "no"}}, []connector.Refusal{{Index: 0, Reason: "set", Others: true}}
	for _, c := range []struct {
		name    string
		before  []reply // of files 2 and 3, before the next change
		after   []reply // and after it
		next    string
		files   [][]string // from the fourth on, without those of the second person
		settled string
	}{
		{"back to what was told first", []reply{{2, no}, {3, nil}}, nil, "Ada", [][]string{{"emp1 Ada<Hopper active"}}, "3 applied"},
		{"the taken one was answered first", []reply{{3, nil}, {2, no}}, nil, "Ada", [][]string{{"emp1 Ada<Hopper active"}}, "3 applied"},
		{"the taken one is answered later", []reply{{2, no}}, []reply{{3, nil}}, "Ada", [][]string{{"emp1 Ada<Hopper active"}}, "3 applied"},
		{"something else", []reply{{2, no}, {3, nil}}, nil, "Jean", [][]string{{"emp1 Jean<Ada active"}, {"emp1 Jean<Hopper active"}}, "3 applied"},
		{"both refused", []reply{{2, no}, {3, no}}, nil, "Jean", [][]string{{"emp1 Jean<Ada active"}}, "3 dead"},
		{"the second with somebody else", []reply{{2, no}, {3, others}}, nil, "Jean", [][]string{{"emp1 Jean<Ada active"}}, "3 dead"},
		{"what was taken, once more", []reply{{2, no}, {3, nil}}, nil, "Hopper", [][]string{{"emp1 Hopper<Ada active"}}, "3 applied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, r := filesWorld(t)
			r.terms.Confirms = true
			w.files(r)
			answer := func(all []reply) {
				for _, a := range all {
					r.answer(a.number, a.refused...)
					w.fileUntil(fmt.Sprint(a.number, " settled"))
				}
			}
			for v, name := range []string{"Ada", "Grace", "Hopper"} {
				w.named("emp1", uint64(v+1), name)
				w.fileUntil(fmt.Sprint(v+1, " accepted"))
				if v == 0 {
					answer([]reply{{1, nil}})
				}
			}
			answer(c.before)
			if got := w.outcomes("emp1"); !slices.Contains(got, "2 dead") || len(c.after) == 0 && !slices.Contains(got, c.settled) {
				t.Errorf("records %q", got)
			}
			w.named("emp1", 4, c.next)
			for i, want := range c.files {
				w.fileUntil(fmt.Sprint(i+4, " accepted"))
				same(t, fmt.Sprint("file ", i+4), want, r.lines(fmt.Sprintf("F%03d", i+4)))
			}
			answer(c.after)
			for i := range c.files {
				answer([]reply{{int64(i + 4), nil}})
			}
			w.eventually(func() string {
				if m := w.last("emp1"); len(m.Staged) > 0 || m.Digest == "" || given(m.Body) != c.next {
					return fmt.Sprintf("what is known: %+v", m.Delivery)
				}
				return ""
			})
			w.named("emp1", 5, "Last") // told from that alone
			n := len(c.files) + 4
			w.fileUntil(fmt.Sprint(n, " accepted"))
			same(t, "the next file", []string{"emp1 Last<" + c.next + " active"}, r.lines(fmt.Sprintf("F%03d", n)))
		})
	}
}

// TestALeaverIsNotHeld: the receiver refuses the change before the end and takes
// the end. Who is active after all is told from both; who goes on to be gone,
// from the first at once.
func TestALeaverIsNotHeld(t *testing.T) {
	for status, want := range map[string][]string{employee.Active: {"emp1 Jean<Ada active", "emp1 Jean<Hopper active"}, employee.Terminated: {"emp1 Jean<Ada terminated", "emp1 Jean<Hopper terminated"}} {
		t.Run(status, func(t *testing.T) {
			w, r := filesWorld(t)
			r.terms.Confirms = true
			was := map[string]string{}
			r.was = func(d connector.Delivery) { was[given(d.Before)] = d.Was }
			first := w.files(r)
			w.named("emp1", 1, "Ada")
			r.answer(1)
			w.fileUntil("1 settled")
			w.named("emp1", 2, "Grace")
			w.fileUntil("2 accepted")
			w.say("emp1", 3, state{fields: employee.Flat{"name.given": "Hopper"}, status: employee.Terminated, typ: event.EmployeeTerminatedV1})
			w.fileUntil("3 accepted") // while nobody has answered for the second
			r.answer(2, connector.Refusal{Index: 0, Reason: "no"})
			r.answer(3)
			w.fileUntil("2 settled")
			w.fileUntil("3 settled")
			first.stop() // what is known is in the record alone
			w.files(r)
			w.say("emp1", 4, state{fields: employee.Flat{"name.given": "Jean"}, status: status})
			w.fileUntil("5 accepted")
			same(t, "files", want, append(r.lines("F004"), r.lines("F005")...))
			same(t, "status before", map[string]string{"": "", "Ada": employee.Active, "Grace": employee.Active, "Hopper": employee.Terminated}, was)
		})
	}
}

// TestTheReceiverNeverAnswers: a record does not outgrow the bus. What comes
// then waits, and goes on when there is an answer.
func TestTheReceiverNeverAnswers(t *testing.T) {
	w, r := filesWorld(t)
	r.terms.Confirms = true
	w.files(r)
	long := func(v int) string { return fmt.Sprint(v) + strings.Repeat("x", 100_000) }
	v := 1
	for ; ; v++ {
		w.named("emp1", uint64(v), long(v))
		var parked bool
		w.wait("an outcome", func() bool {
			all := w.outcomes("emp1")
			parked = slices.Contains(all, fmt.Sprint(v, " parked"))
			return parked || slices.Contains(all, fmt.Sprint(v, " accepted"))
		})
		if parked {
			break
		}
		w.fileUntil(fmt.Sprint(v, " accepted"))
	}
	if m := w.last("emp1"); m.Reason != "unanswered" || len(m.Staged) != v-1 || v < 3 {
		t.Errorf("the last record: %s %s with %d pieces", m.Outcome, m.Reason, len(m.Staged))
	}
	w.named("emp1", uint64(v+1), "Ada")
	for n := 1; n < v; n++ {
		r.answer(int64(n))
	}
	w.wait("those that were parked", func() bool { m := w.last("emp1"); return m.Version == uint64(v+1) && given(m.Body) == "Ada" })
	same(t, "letters", 0, len(w.letters()))
}

// TestOthers who were refused with somebody go into the next file.
func TestOthers(t *testing.T) {
	w, r := filesWorld(t)
	r.terms.Confirms = true
	w.to.Files.Most, w.to.Files.Every = 2, 200*time.Millisecond
	w.named("emp1", 1, "Ada")
	w.named("emp2", 1, "Grace")
	w.files(r)
	w.fileUntil("1 accepted")
	i := slices.IndexFunc(r.lines("F001"), func(l string) bool { return strings.HasPrefix(l, "emp2") })
	r.answer(1, connector.Refusal{Index: -1, Reason: "set", Others: true}, connector.Refusal{Index: i, Reason: "bad_date"})
	w.fileUntil("2 accepted")
	same(t, "file 2", []string{"emp1 Ada< active"}, r.lines("F002"))
	r.answer(2)
	w.until("emp1", "1 applied")
	w.until("emp2", "1 dead")
	if f := w.fileRecords(); f[3].Outcome != record.FileSettled || f[3].Refused != 1 || f[3].Again != 1 || f[3].Applied != 0 {
		t.Errorf("the end of file 1: %+v", f[3])
	}
}

// TestAWholeFileRefused is not sent again by itself, and nobody is lost.
func TestAWholeFileRefused(t *testing.T) {
	w, r := filesWorld(t)
	r.terms.Confirms = true
	w.files(r)
	w.named("emp1", 1, "Ada")
	w.fileUntil("1 accepted")
	r.answer(1, connector.Refusal{Index: -1, Reason: "duplicate_number"})
	w.until("emp1", "1 dead")
	w.fileUntil("1 settled")
	if l := w.letters(); len(l) != 1 || l[0].Reason != "duplicate_number" {
		t.Errorf("letters %+v", l)
	}
	same(t, "names", []string{"F001"}, r.names())
	w.named("emp1", 2, "Grace")
	w.fileUntil("2 accepted")
	same(t, "file 2", []string{"emp1 Grace< active"}, r.lines("F002"))
}

// TestNoAnswerInTime is told once, also over a restart, and nothing is sent again.
func TestNoAnswerInTime(t *testing.T) {
	w, r := filesWorld(t)
	r.terms.Confirms, r.terms.AnswerWithin = true, 50*time.Millisecond
	first := w.files(r)
	w.named("emp1", 1, "Ada")
	w.wait("two records of it being there", func() bool { return len(w.fileRecords()) == 3 })
	first.stop()
	second := w.files(r)
	asked := r.asked
	w.wait("a look for answers", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.asked > asked+2 })
	second.stop()
	same(t, "files", []string{"1 intended", "1 accepted", "1 accepted"}, w.fileOutcomes())
	same(t, "puts", []string{"F001"}, r.puts)
	r.answer(1)
	w.files(r)
	w.until("emp1", "1 applied")
}

// TestErased: who was erased is in no file. If that breaks one that was intended,
// its number is kept for the others; if it is there after all, it counts.
func TestErased(t *testing.T) {
	erase := func(w *world, id string) {
		w.keys.Delete(topology.Key("basic", id))
		w.keys.Delete(topology.Key("restricted", id))
	}
	for _, there := range []bool{false, true} {
		t.Run(fmt.Sprintf("there %t", there), func(t *testing.T) {
			w, r := filesWorld(t)
			w.to.Files.Most, w.to.Files.Every = 2, time.Hour
			cut := func(connector.File, int) error { return fault.New(fault.Transient, "connection", "it broke") }
			if there {
				r.after = cut
			} else {
				r.fail = cut
			}
			first := w.files(r)
			w.named("emp1", 1, "Ada")
			w.named("emp2", 1, "Grace")
			w.wait("a put", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.puts) > 0 })
			first.stop()
			erase(w, "emp1")
			r.mu.Lock()
			r.fail, r.after = nil, nil
			before := r.there["F001"]
			r.mu.Unlock()
			w.files(r)
			w.fileUntil("1 settled")
			if there {
				same(t, "file 1", before, r.there["F001"])
			} else {
				same(t, "file 1", []string{"emp2 Grace< active"}, r.lines("F001"))
			}
			w.until("emp2", "1 accepted")
			same(t, "what is still staged", 0, len(w.last("emp2").Staged))
			same(t, "names", []string{"F001"}, r.names())
		})
	}
}

// TestOtherSettings give other bytes: the file that was intended is made anew
// under its number if it never came through.
func TestOtherSettings(t *testing.T) {
	w, r := filesWorld(t)
	r.fail = func(connector.File, int) error { return fault.New(fault.Target, "denied", "no") }
	first := w.files(r)
	w.named("emp1", 1, "Ada")
	w.wait("a put", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.puts) > 0 })
	first.stop()
	r.fail, r.format = nil, ";\n"
	w.files(r)
	w.fileUntil("1 settled")
	fs := w.fileRecords()
	if len(fs) != 4 || fs[1].Outcome != record.FileIntended || fs[1].Earlier == nil || fs[1].Number != 1 {
		t.Errorf("records %+v", fs)
	}
}

// TestARecordOfAFullFile: however many a file may hold by the settings, its
// record is one message, also with a refusal of each and with what was intended
// before.
func TestARecordOfAFullFile(t *testing.T) {
	w, r := filesWorld(t)
	w.to.Files.Most = 100_000
	d, b := w.make(func(d *Deps) { d.Sink, d.Files = nil, r })
	defer func() { _ = b.Close() }()
	f := record.File{Target: target, Number: 1, Outcome: record.FileAnswered, Built: time.Now().UTC(), Answer: &record.FileAnswer{}}
	for i := range d.filing.most {
		f.Members = append(f.Members, record.Member{Employee: strings.Repeat("e", 26), Event: strings.Repeat("f", 26), Version: 100_000})
		f.Starts = append(f.Starts, 1_000_000+20*i)
		f.Answer.Refused = append(f.Answer.Refused, record.FileRefusal{Index: i, Reason: "segment_not_in_set", Path: "2100/DMG02", Rule: "IK403=I13", Others: true})
	}
	f.Earlier = &f.Content
	if err := d.filing.note(t.Context(), &sent{f, 0}); err != nil {
		t.Errorf("%d changes: %v", len(f.Members), err)
	}
}

// TestTwoProcesses: the second one finds what the first wrote, and ends.
func TestTwoProcesses(t *testing.T) {
	w, r := filesWorld(t)
	f := record.File{Target: target, Number: 1, Outcome: record.FileIntended, Built: time.Now().UTC()}
	d, b := w.make(func(d *Deps) { d.Sink, d.Files = nil, r })
	defer func() { _ = b.Close() }()
	staged := []record.Staged{{Event: eventID("emp1", 1), Version: 1, At: time.Now().Add(-time.Minute), Content: []byte("x")}}
	d.filing.learn("emp1", staged) // so a file is due
	msg, err := w.codec.File(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	w.remembers(record.Delivery{Employee: "emp1", Event: eventID("emp1", 1), Version: 1, Done: 1, Outcome: record.OutcomeAccepted, Staged: staged})
	w.publish(topology.Delivered, bus.Out{Subject: msg.Subject, Event: msg.Event})
	if err := d.filing.send(t.Context()); err == nil || !strings.Contains(err.Error(), errElsewhere.Error()) {
		t.Errorf("it goes on: %v", err)
	}
	same(t, "puts", 0, len(r.puts))
}

// TestDue: after a length of time, or at times of day in the company's zone,
// also on the days when clocks change.
func TestDue(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := func(s string) time.Time {
		d, err := time.ParseInLocation("2006-01-02 15:04", s, zone)
		if err != nil {
			t.Fatal(err)
		}
		return d.UTC()
	}
	evening := config.FilePlan{At: []time.Duration{9 * time.Hour, 18 * time.Hour}}
	for _, c := range []struct {
		name       string
		plan       config.FilePlan
		since, now string
		want       bool
	}{
		{"not long enough", config.FilePlan{Every: time.Hour}, "2026-03-02 10:00", "2026-03-02 10:59", false},
		{"long enough", config.FilePlan{Every: time.Hour}, "2026-03-02 10:00", "2026-03-02 11:00", true},
		{"before the time", evening, "2026-03-02 09:00", "2026-03-02 17:59", false},
		{"at the time", evening, "2026-03-02 09:00", "2026-03-02 18:00", true},
		{"after the last of the day", evening, "2026-03-02 18:01", "2026-03-03 08:59", false},
		{"the first of the next", evening, "2026-03-02 18:01", "2026-03-03 09:00", true},
		{"long ago", evening, "2026-03-01 18:01", "2026-03-07 01:00", true},
		{"the day with an hour less", evening, "2026-03-29 01:00", "2026-03-29 09:00", true},
		{"and before", evening, "2026-03-29 01:00", "2026-03-29 08:59", false},
		{"both", config.FilePlan{Every: time.Hour, At: evening.At}, "2026-03-02 17:50", "2026-03-02 18:00", true},
	} {
		f := &filing{d: &Deliverer{Deps: Deps{Company: &config.Company{Zone: zone}, Target: &config.Target{Files: c.plan}}}}
		if got := f.reached(at(c.since), at(c.now)); got != c.want {
			t.Errorf("%s: due is %t", c.name, got)
		}
	}
}

// TestALeaverInAFile: what the receiver is told of somebody whom no integration
// covers any more.
func TestALeaverInAFile(t *testing.T) {
	w, r := filesWorld(t)
	w.company.Integrations["main"].When = w.when(`employee_number == "emp1" && employment.status == "active"`)
	w.files(r)
	w.named("emp1", 1, "Ada")
	w.fileUntil("1 settled")
	w.say("emp1", 2, state{fields: employee.Flat{"name.given": "Ada L"}, status: employee.Terminated, typ: event.EmployeeTerminatedV1, changed: []string{"employment.status", "name.given"}})
	w.fileUntil("2 settled")
	same(t, "file 2", []string{"emp1 Ada L<Ada terminated"}, r.lines("F002"))
}
