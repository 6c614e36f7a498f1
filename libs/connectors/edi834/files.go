package edi834

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/sftpx"
	"github.com/muster-hr/muster/libs/connectors/edi834/x12"
	"github.com/muster-hr/muster/libs/fault"
)

// files is a carrier.
type files struct {
	*profile
	client *sftpx.Client
	log    *slog.Logger

	mu   sync.Mutex
	read map[string]answerFile // of the answers folder, by name: a cache
}

func open(a connector.Account) (*files, error) {
	p, err := readProfile(a)
	if err != nil {
		return nil, err
	}
	f := &files{profile: p, log: a.Log}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	f.client, err = sftpx.New(p.Account)
	return f, err
}

func newFiles(a connector.Account) (connector.Files, error) { return open(a) }

type check struct{ *files }

func newCheck(a connector.Account) (connector.Check, error) {
	f, err := open(a)
	return check{f}, err
}

// Check logs in and lists the folders.
func (c check) Check(ctx context.Context) error {
	return c.client.With(ctx, func(s *sftpx.Session) error {
		_, err := s.List(c.folder)
		if err == nil && c.word("answers") != "none" {
			_, err = s.List(c.answersFolder)
		}
		return err
	})
}

// Terms are what the settings say.
func (f *files) Terms() connector.FileTerms {
	within := f.Duration("answer_within")
	if within == 0 {
		within = 24 * time.Hour
	}
	return connector.FileTerms{FirstNumber: int64(f.Int("first_number")), Confirms: f.word("answers") != "none", AnswerWithin: within}
}

// Piece makes the loops of one change. Its content is JSON: the list of
// segments, each a list of its id and elements, without separators.
func (f *files) Piece(d connector.Delivery) (connector.Piece, error) {
	c := change{effective: d.Effective, today: f.Now().In(f.zone).Format(day)}
	if !isDay(c.effective) {
		c.effective = ""
	}
	var err error
	if c.is, err = readBody(d.Body, d.Status); err != nil {
		return connector.Piece{}, err
	}
	// What comes to no piece leaves Before as it is, so that there was a body
	// before means that the carrier was told of the person.
	c.told = d.Before != nil
	if c.was, err = readBody(d.Before, d.Was); err != nil {
		c.was = body{} // the mapping was another one then
	}
	if c.over = c.is.over(); c.over && c.is.Employment.TerminationDate == "" {
		c.is.Employment.TerminationDate = c.day()
	}
	if c.over {
		c.is = f.ending(c.is, c.was)
	}
	// When an end without a day was told is not known any more. The same day on
	// both sides makes no second end of it.
	if c.was.over() && !isDay(c.was.Employment.TerminationDate) {
		c.was.Employment.TerminationDate = c.day()
	}
	segments, err := f.family(c)
	if err != nil || len(segments) == 0 {
		return connector.Piece{}, err
	}
	content, err := json.Marshal(segments)
	return connector.Piece{Key: d.ID, Content: content}, err
}

// segmentsOf reads the content of a piece.
func segmentsOf(p connector.Piece) (out []x12.Segment, err error) {
	if err = json.Unmarshal(p.Content, &out); err != nil || len(out) == 0 {
		return nil, fault.New(fault.Record, "content", "a piece has not the form of this connector")
	}
	return out, nil
}

// Put brings a file to the carrier.
func (f *files) Put(ctx context.Context, file connector.File) error {
	return f.client.With(ctx, func(s *sftpx.Session) error {
		for _, part := range file.Parts {
			if _, err := s.Put(path.Join(f.folder, part.Name), part.Content); err != nil {
				return err
			}
		}
		return nil
	})
}

const (
	implementation = "005010X220A1"
	maxNumber      = 999_999_999
)

// perSet is how far apart the positions of two sets are in [connector.File]
// Starts: a piece of set 2 that begins at its segment 6 starts at 1,000,006.
const perSet = 1_000_000

// Build makes a file. Starts are positions from ST = 1, by set: see perSet.
func (f *files) Build(n connector.Numbering, pieces []connector.Piece) (connector.File, error) {
	if n.Number < 1 || n.Number > maxNumber {
		return connector.File{}, fault.New(fault.Target, "number", "the control number has nine digits")
	}
	at := n.At.In(f.zone)
	w := &writer{profile: f.profile}
	w.isa(n.Number, at)
	w.add("GS", "BE", f.or("application_sender", "sender"), f.or("application_receiver", "receiver"),
		at.Format("20060102"), at.Format("1504"), strconv.FormatInt(n.Number, 10), "X", implementation)
	out := connector.File{Starts: make([]int, 0, len(pieces))}
	sets := 0
	for len(pieces) > 0 {
		sets++
		take := len(pieces)
		if f.setSize > 0 {
			take = min(take, f.setSize)
		}
		starts, err := w.set(sets, n.Number, at, pieces[:take])
		if err != nil {
			return connector.File{}, err
		}
		out.Starts = append(out.Starts, starts...)
		pieces = pieces[take:]
	}
	w.add("GE", strconv.Itoa(sets), strconv.FormatInt(n.Number, 10))
	w.add("IEA", "1", fmt.Sprintf("%09d", n.Number))
	out.Parts = []connector.FilePart{{Name: f.name.fill(n.Number, at, 0), Content: []byte(w.b.String())}}
	return out, nil
}

func (p *profile) or(name, fallback string) string {
	if s := p.Text(name); s != "" {
		return s
	}
	return p.Text(fallback)
}

// writer writes segments.
type writer struct {
	*profile
	b     strings.Builder
	count int // of the set, ST included
}

// add writes one segment. What could be taken for a separator is replaced once
// more: the settings may have changed since the piece was made.
func (w *writer) add(elements ...string) {
	elements = trimmed(elements)
	for i, e := range elements {
		if i > 0 {
			w.b.WriteByte(w.sep.Element)
		}
		for j := range len(e) {
			switch c := e[j]; c {
			case w.sep.Element, w.sep.Component, w.sep.Repetition, w.sep.Segment:
				w.b.WriteByte(' ')
			default:
				w.b.WriteByte(c)
			}
		}
	}
	w.b.WriteByte(w.sep.Segment)
	w.b.WriteString(w.lineBreak)
	w.count++
}

// isa writes the segment of fixed width, whose last elements are separators.
func (w *writer) isa(n int64, at time.Time) {
	ta1 := "0"
	if w.flag("ta1_requested", true) {
		ta1 = "1"
	}
	fields := []string{
		"ISA", "00", blanks(10), "00", blanks(10), w.word("sender_qualifier"), fmt.Sprintf("%-15s", w.Text("sender")),
		w.word("receiver_qualifier"), fmt.Sprintf("%-15s", w.Text("receiver")), at.Format("060102"), at.Format("1504"),
		string(w.sep.Repetition), "00501", fmt.Sprintf("%09d", n), ta1, w.Text("usage"), string(w.sep.Component),
	}
	w.b.WriteString(strings.Join(fields, string(w.sep.Element)))
	w.b.WriteByte(w.sep.Segment)
	w.b.WriteString(w.lineBreak)
}

func blanks(n int) string { return strings.Repeat(" ", n) }

// set writes one transaction set and tells where its pieces begin.
func (w *writer) set(number int, control int64, at time.Time, pieces []connector.Piece) (starts []int, err error) {
	all := make([][]x12.Segment, len(pieces))
	subscribers, members := 0, 0
	for i, p := range pieces {
		if all[i], err = segmentsOf(p); err != nil {
			return nil, err
		}
		for _, s := range all[i] {
			if s.ID() == "INS" {
				members++
				if s.At(1) == "Y" {
					subscribers++
				}
			}
		}
	}
	w.count = 0
	st := fmt.Sprintf("%04d", number)
	w.add("ST", "834", st, implementation)
	w.add("BGN", "00", w.text(w.reference.fill(control, at, number)), at.Format("20060102"), at.Format("1504"), w.Text("zone_code"), "", "", "2")
	if policy := w.text(w.Text("master_policy")); policy != "" {
		w.add("REF", "38", policy)
	}
	if w.Bool("file_date") {
		w.add("DTP", "007", "D8", at.Format("20060102"))
	}
	if w.Bool("totals") {
		w.add("QTY", "TO", strconv.Itoa(members))
		w.add("QTY", "DT", strconv.Itoa(members-subscribers))
		w.add("QTY", "ET", strconv.Itoa(subscribers))
	}
	w.add("N1", "P5", w.text(w.Text("sponsor_name")), w.word("sponsor_id_qualifier"), w.text(w.Text("sponsor_id")))
	w.add("N1", "IN", w.text(w.Text("payer_name")), w.word("payer_id_qualifier"), w.text(w.Text("payer_id")))
	for _, segments := range all {
		starts = append(starts, (number-1)*perSet+w.count+1)
		for _, s := range segments {
			w.add(s...)
		}
	}
	if w.count >= perSet-1 {
		return nil, fault.New(fault.Target, "set_too_long", "a set has more than %d segments: set set_size", perSet-2)
	}
	w.add("SE", strconv.Itoa(w.count+1), st)
	return starts, nil
}

// text is a setting in the agreed characters; it was checked when it was read.
func (w *writer) text(s string) string {
	made, err := w.clean(s)
	if err != nil {
		return ""
	}
	return made
}
