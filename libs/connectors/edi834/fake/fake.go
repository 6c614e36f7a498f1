// Package fake is a carrier with memory: it takes 834 files over SFTP, answers
// with TA1 and 999, and knows who is insured for what.
//
// Settings: those of the account ("folder", "answers_folder", "usage", "sender",
// "receiver", "totals"), those of sftpserver, and "acknowledge": "asked" answers
// a file only when the verb `answer` says so.
//
// Verbs: `answer` {"number"} answers the files that wait, or that one.
// `reject` {"subscriber", "segment", "loop", "element", "code"} has the next set
// with that subscriber refused at their first such segment; without an element
// the code is one of IK304. `forget` {"number"} makes a control number new again.
// `take` {"text"} is a file that came by another way.
//
// The memory shows members by REF*0F with "coverages", "dependants" and what a
// carrier would write a letter about ("problems"), beside the files.
//
// Faults: those of sftpserver.
package fake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"sync"

	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connector/fake/sftpserver"
	"github.com/muster-hr/muster/libs/connectors/edi834/x12"
)

// carrier is the memory.
type carrier struct {
	*sftpserver.Server
	o fake.Options

	mu      sync.Mutex
	waiting [][]byte        // files that were not answered yet
	seen    map[string]bool // control numbers
	rejects []reject
	members map[string]*member
	acks    int // control number of our own interchanges
}

// reject is a refusal that was asked for.
type reject struct{ subscriber, segment, loop, element, code string }

// New makes a carrier with the account's folders and nobody insured.
func New(o fake.Options) fake.Vendor {
	c := &carrier{
		Server: sftpserver.New(o, o.Settings["folder"], o.Settings["answers_folder"]), o: o,
		seen: map[string]bool{}, members: map[string]*member{},
	}
	c.Arrived = c.arrived
	return c
}

// HostKey is the fake's host key as an account pins it.
func HostKey() string { return sftpserver.HostKey() }

// ClientKey is the private key, in PEM, that the fake lets in.
func ClientKey() string { return sftpserver.ClientKey() }

// Do plays what happens at the carrier.
func (c *carrier) Do(_ context.Context, verb string, args map[string]any) (map[string]any, error) {
	word := func(name string) string { s, _ := args[name].(string); return s }
	number := ""
	if args["number"] != nil {
		number = fmt.Sprintf("%09s", fmt.Sprint(args["number"]))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch verb {
	case "answer":
		n := 0
		c.waiting = slices.DeleteFunc(c.waiting, func(data []byte) bool {
			if number != "" && numberOf(data) != number {
				return false
			}
			n++
			c.settle(data)
			return true
		})
		if n == 0 {
			return nil, errors.New("no such file waits")
		}
		return map[string]any{"id": number, "files": n}, nil
	case "reject":
		r := reject{word("subscriber"), cmp.Or(word("segment"), "DMG"), cmp.Or(word("loop"), "2100"), fmt.Sprint(cmp.Or(args["element"], any(""))), cmp.Or(word("code"), "8")}
		if r.subscriber == "" {
			return nil, errors.New("subscriber: write who it is about")
		}
		c.rejects = append(c.rejects, r)
		return map[string]any{"id": r.subscriber}, nil
	case "take":
		c.settle([]byte(word("text")))
		return map[string]any{"id": numberOf([]byte(word("text")))}, nil
	case "forget":
		if !c.seen[number] {
			return nil, errors.New("this number was never used")
		}
		delete(c.seen, number)
		return map[string]any{"id": number}, nil
	}
	return nil, fake.ErrUnknownVerb(verb)
}

// arrived takes a file.
func (c *carrier) arrived(name string, data []byte) {
	if path.Dir(name) != sftpserver.At(c.o.Settings["folder"]) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.o.Settings["acknowledge"] == "asked" {
		c.waiting = append(c.waiting, data)
		return
	}
	c.settle(data)
}

// settle answers a file and takes what is right in it.
func (c *carrier) settle(data []byte) {
	all, err := x12.Parse(data)
	for _, i := range all {
		c.interchange(i)
	}
	if bad, ok := errors.AsType[*x12.Error](err); ok {
		c.ta1(numberOf(data), "R", bad.Code)
	}
}

// numberOf is ISA13 of a file that may be broken.
func numberOf(data []byte) string {
	if len(data) < 99 {
		return ""
	}
	return string(data[90:99])
}

func (c *carrier) interchange(i x12.Interchange) {
	code := ""
	switch {
	case len(i.Wrong) > 0:
		code = i.Wrong[0]
	case c.unlike("sender", i.Sender()):
		code = "006"
	case c.unlike("receiver", i.Receiver()):
		code = "008"
	case c.unlike("usage", i.ISA.At(15)):
		code = "020"
	case c.seen[i.Number()]:
		code = x12.Duplicate
	}
	if code != "" {
		c.ta1(i.Number(), "R", code)
		return
	}
	c.seen[i.Number()] = true
	if i.ISA.At(14) == "1" {
		c.ta1(i.Number(), "A", "000")
	}
	for _, g := range i.Groups {
		c.group(g)
	}
}

// unlike tells whether something is not as it was agreed.
func (c *carrier) unlike(setting, value string) bool {
	want := c.o.Settings[setting]
	return want != "" && want != value
}

// group answers a group, and takes the sets that are right.
func (c *carrier) group(g x12.Group) {
	var out []x12.Segment
	accepted := 0
	for _, set := range g.Sets {
		complaints := Check(set, c.o.Settings["totals"] == "true")
		complaints = append(complaints, c.asked(set)...)
		out = append(out, x12.Segment{"AK2", "834", set.Number(), "005010X220A1"})
		for _, x := range complaints {
			out = append(out, x.segments()...)
		}
		switch {
		case len(set.Wrong) > 0:
			out = append(out, x12.Segment{"IK5", "R", set.Wrong[0]})
		case len(complaints) > 0:
			out = append(out, x12.Segment{"IK5", "R", "5"})
		default:
			out = append(out, x12.Segment{"IK5", "A"})
			accepted++
			if len(g.Wrong) == 0 {
				c.apply(set)
			}
		}
	}
	n := strconv.Itoa(len(g.Sets))
	ak9 := x12.Segment{"AK9", "A", n, n, strconv.Itoa(accepted)}
	switch {
	case len(g.Wrong) > 0:
		ak9[1], ak9[4] = "R", "0"
		ak9 = append(ak9, g.Wrong[0])
	case accepted == 0:
		ak9[1] = "R"
	case accepted < len(g.Sets):
		ak9[1] = "P"
	}
	c.functional(g, append(out, ak9))
}

// asked are the complaints that somebody asked for.
func (c *carrier) asked(set x12.Set) (out []Complaint) {
	c.rejects = slices.DeleteFunc(c.rejects, func(r reject) bool {
		for _, l := range loops(set) {
			if l.number() != r.subscriber {
				continue
			}
			for n, s := range l.segments {
				if s.ID() == r.segment {
					out = append(out, Complaint{Segment: r.segment, Position: l.at + n, Loop: r.loop, Code: r.code, Element: r.element, Subscriber: r.subscriber})
					if r.element != "" {
						out[len(out)-1].Code, out[len(out)-1].ElementCode = "8", r.code
					}
					return true
				}
			}
		}
		return false
	})
	return out
}
