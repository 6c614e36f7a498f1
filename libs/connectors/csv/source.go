package csv

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/sftpx"
	"github.com/muster-hr/muster/libs/fault"
)

// mostRows of a refused file are listed one by one.
const mostRows = 100

// source reads the files of one feed, one after the other.
type source struct {
	feed
	client *sftpx.Client
	now    func() time.Time
	log    *slog.Logger

	// The file that is being read, so that a page does not fetch it again. It is
	// a cache: the cursor decides.
	sum   string
	table *table
}

func open(a connector.Account) (*source, error) {
	f, err := read(a)
	if err != nil {
		return nil, err
	}
	s := &source{feed: f, now: a.Now, log: a.Log}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.client, err = sftpx.New(a)
	return s, err
}

func newSource(a connector.Account) (connector.Source, error) { return open(a) }

type check struct{ *source }

func newCheck(a connector.Account) (connector.Check, error) {
	if a.Text("kind") == "" { // which every source has
		t, err := newFiles(a)
		if err != nil {
			return nil, err
		}
		return t.(*target), nil
	}
	s, err := open(a)
	return check{s}, err
}

// Check logs in and lists the folders.
func (c check) Check(ctx context.Context) error {
	return c.client.With(ctx, func(sess *sftpx.Session) error {
		for _, folder := range []string{c.folder, c.archive, c.refused} {
			if folder == "" && c.folder != "" {
				continue
			}
			if _, err := sess.List(folder); err != nil {
				return err
			}
		}
		return nil
	})
}

// Changes gives the next page of the file that is being read, or the first one
// of the next file. It is called by one goroutine.
func (s *source) Changes(ctx context.Context, after connector.Cursor) (connector.Page, error) {
	p, err := parsePlace(after)
	if err != nil {
		return connector.Page{}, err
	}
	var page connector.Page
	if p.Open != nil && s.table != nil && s.sum == p.Open.Sum {
		err = s.fill(&page, &p)
	} else {
		err = s.client.With(ctx, func(sess *sftpx.Session) error { return s.work(sess, &page, &p) })
	}
	if err != nil {
		return connector.Page{}, err
	}
	page.Next, err = p.cursor()
	return page, err
}

// work does what needs the server: put a file away whose pages are durable,
// fetch the one that is being read again after a restart, or look for the next.
func (s *source) work(sess *sftpx.Session, page *connector.Page, p *place) error {
	if p.Away != nil {
		if err := s.putAway(sess, p.Away, p.Seen[p.Away.Token]); err != nil {
			return err
		}
		p.Away = nil
	}
	files, names, err := s.look(sess, p)
	if err != nil {
		return err
	}
	if p.Open != nil {
		return s.reopen(sess, page, p, files)
	}
	for _, c := range files {
		if c.Done {
			continue
		}
		if !s.ready(c, names) {
			if s.now().Sub(time.Unix(c.First, 0)) >= incompleteAfter {
				c.tell(page, "incomplete")
			}
			if s.waits() { // those behind it come after it
				return nil
			}
			continue
		}
		taken, err := s.first(sess, page, p, c)
		if err != nil || taken {
			return err
		}
		if c.Told == "gap" && s.waits() {
			return nil
		}
	}
	return nil
}

// waits tells whether a file must not overtake another: the one that was
// overtaken would be refused as old.
func (s *source) waits() bool { return s.wait && s.name.ordered }

// first opens a file: the checks, and its first page. false: nothing is to be
// done about it now.
func (s *source) first(sess *sftpx.Session, page *connector.Page, p *place, c candidate) (bool, error) {
	if s.waits() && c.Told == "gap" && c.order > p.Last+1 {
		return false, nil // still
	}
	raw, err := sess.Read(path.Join(s.folder, c.Name), s.maxBytes)
	if f := fault.Of(err); f != nil && f.Reason == sftpx.ReasonTooLarge {
		return true, s.refuse(page, p, c, "", refusal{reason: "too_large"}, nil)
	}
	if err != nil {
		return false, err
	}
	hash := sum(raw)
	if c.Bad == hash[:short] { // it was laid down again as it was
		c.Done = true
		return false, nil
	}
	if s.again(p, hash[:short], c.order) {
		s.log.Info("a file came again and was taken before", "file", c.label(hash))
		p.Last = max(p.Last, c.order)
		s.done(page, p, c, hash)
		return true, nil
	}
	m, err := s.proof(sess, c)
	if err != nil {
		if _, bad := errors.AsType[refusal](err); bad {
			return true, s.refuse(page, p, c, hash, err, nil)
		}
		return false, err
	}
	if reason := s.order(p, c, m); reason != "" {
		if reason != "gap" {
			return true, s.refuse(page, p, c, hash, refusal{reason: reason}, nil)
		}
		c.tell(page, reason)
		if s.wait {
			return false, nil
		}
	}
	t, err := s.judged(raw, hash, c, m)
	if err != nil {
		return true, s.refuse(page, p, c, hash, err, t)
	}
	if t.unknown > 0 {
		s.log.Warn("a file has columns that nobody asked for", "file", c.label(hash), "columns", t.unknown)
	}
	as := readVersion(s.now())
	if c.order > 0 {
		as = connector.Version{Scale: connector.ScaleSequence, Value: decimal(c.order)}
	}
	s.sum, s.table = hash, t
	p.Open = &opened{Token: c.token, Sum: hash, Order: c.order, As: as}
	return true, s.fill(page, p)
}

// again tells whether a file says nothing that was not taken before. One behind
// all others does so only if its bytes are those of the newest: an older file
// may have said the same, and one between them something else. An equal full
// file is a second look.
func (s *source) again(p *place, sum string, order uint64) bool {
	if order <= p.Last {
		return slices.Contains(p.Sums, sum)
	}
	return s.kind != full && len(p.Sums) > 0 && p.Sums[len(p.Sums)-1] == sum
}

// order judges a file by its place among those that were taken; "" lets it pass.
func (s *source) order(p *place, c candidate, m manifest) string {
	switch {
	case p.Last == 0 || c.order == 0:
		return ""
	case c.order == p.Last:
		return "sequence_reused"
	case c.order < p.Last:
		return "sequence_old"
	case s.name.sequence && c.order > p.Last+1, m.Previous != nil && *m.Previous != p.Last && s.name.sequence:
		return "gap"
	}
	return ""
}

// judged checks the content, against the manifest first.
func (s *source) judged(raw []byte, hash string, c candidate, m manifest) (*table, error) {
	want := -1
	switch {
	case m.File != "" && m.File != c.Name:
		return nil, refusal{reason: "manifest_file"}
	case m.Sequence != nil && s.name.sequence && *m.Sequence != c.order:
		return nil, refusal{reason: "manifest_sequence"}
	case m.Bytes != nil && *m.Bytes != int64(len(raw)):
		return nil, refusal{reason: "size"}
	case m.Sum != "" && !strings.EqualFold(m.Sum, hash):
		return nil, refusal{reason: "hash"}
	case m.Rows != nil:
		want = *m.Rows
	}
	return s.parse(raw, want)
}

// reopen fetches the file that is being read, after a restart. If it is not
// what it was, what has come of it stays and the read has failed.
func (s *source) reopen(sess *sftpx.Session, page *connector.Page, p *place, files []candidate) error {
	o := p.Open
	lost := func(c candidate) error {
		p.Open, page.More = nil, true
		page.Rejected = append(page.Rejected, connector.Rejected{ID: o.Sum + ".changed", Reason: "file_changed", Rule: c.label(o.Sum)})
		if s.kind == full {
			page.Frame = connector.Frame{Read: readID(o), End: connector.Failed}
		}
		return nil
	}
	i := slices.IndexFunc(files, func(c candidate) bool { return c.token == o.Token })
	if i < 0 {
		return lost(candidate{})
	}
	raw, err := sess.Read(path.Join(s.folder, files[i].Name), s.maxBytes)
	if f := fault.Of(err); f != nil && f.Class != fault.Record {
		return err
	}
	if err != nil || sum(raw) != o.Sum {
		return lost(files[i])
	}
	t, err := s.parse(raw, -1)
	if err != nil || o.Next > len(t.items) { // the settings have changed
		return lost(files[i])
	}
	s.sum, s.table = o.Sum, t
	return s.fill(page, p)
}

func readID(o *opened) string { return o.Sum[:short] + "-" + decimal(o.Order) }

// fill makes a page of the open file. With its last page the file is taken.
func (s *source) fill(page *connector.Page, p *place) error {
	o, t := p.Open, s.table
	begin, end := o.Next, min(o.Next+s.pageSize, len(t.items))
	page.Records = make([]connector.Record, 0, end-begin)
	for _, it := range t.items[begin:end] {
		rec, err := s.record(t, it, o.As)
		if err != nil { // texts always encode
			return fault.New(fault.Record, "encode", "a row cannot be written as JSON")
		}
		page.Records = append(page.Records, rec)
	}
	if begin == 0 {
		page.Rejected = append(page.Rejected, listed(t.faults, o.Sum)...)
	}
	if s.kind == full {
		page.Frame = connector.Frame{Read: readID(o), Begin: begin == 0}
	}
	page.More = true
	if o.Next = end; end < len(t.items) {
		return nil
	}
	if s.kind == full {
		if page.Frame.End = connector.Complete; len(t.faults) > 0 {
			page.Frame.End = connector.Partial // who was rejected is not here, and has not left
		}
	}
	p.took(o.Sum[:short], o.Order)
	c := candidate{token: o.Token, seen: p.Seen[o.Token]}
	s.done(page, p, c, o.Sum)
	p.Open, s.sum, s.table = nil, "", nil
	return nil
}

// done notes that a file was taken, and that it goes away with the next call,
// which is made once this page is durable.
func (s *source) done(page *connector.Page, p *place, c candidate, hash string) {
	page.More = true
	if c.seen != nil {
		c.Done = true
	}
	if s.archive != "" || s.remove {
		p.Away = &away{Token: c.token, Sum: hash}
	}
}

// refuse lists a whole file, and its rows if those are why. It is not looked
// into again until it changes; a corrected one may have the same sequence.
func (s *source) refuse(page *connector.Page, p *place, c candidate, hash string, why error, t *table) error {
	r, ok := errors.AsType[refusal](why)
	if !ok {
		return why
	}
	page.More = true
	page.Rejected = append(page.Rejected, connector.Rejected{ID: cmp.Or(hash, c.token) + "." + decimal(c.order) + "." + r.reason, Reason: r.reason, Path: r.path, Rule: c.label(hash)})
	if t != nil {
		page.Rejected = append(page.Rejected, listed(t.faults[:min(mostRows, len(t.faults))], hash)...)
	}
	if s.kind == full {
		page.Frame = connector.Frame{Read: sum([]byte(c.token + decimal(uint64(c.Since)) + hash))[:short], Begin: true, End: connector.Failed}
	}
	c.Done, c.Bad = true, hash[:min(short, len(hash))]
	if s.refused != "" {
		p.Away = &away{Token: c.token, Refused: true, Sum: cmp.Or(hash, c.token)}
	}
	return nil
}

func listed(faults []reject, hash string) []connector.Rejected {
	out := make([]connector.Rejected, len(faults))
	for i, f := range faults {
		out[i] = connector.Rejected{Key: f.key, ID: hash + "." + strconv.Itoa(f.line), Reason: f.reason, Path: f.path(), Rule: "sha256 " + hash[:12]}
	}
	return out
}

// manifest proves a file. What it does not say is not checked.
type manifest struct {
	File     string  `json:"file"`
	Sequence *uint64 `json:"sequence"`
	Previous *uint64 `json:"previous_sequence"`
	Bytes    *int64  `json:"bytes"`
	Sum      string  `json:"sha256"`
	Rows     *int    `json:"detail_rows"`
}

// maxManifest is the size above which a companion is none.
const maxManifest = 1 << 20

// proof reads a file's manifest.
func (s *source) proof(sess *sftpx.Session, c candidate) (m manifest, err error) {
	if s.manifest == "" {
		return m, nil
	}
	raw, err := sess.Read(path.Join(s.folder, beside(s.manifest, c.Name)), maxManifest)
	if f := fault.Of(err); f != nil && f.Class != fault.Record {
		return m, err
	}
	if err != nil || json.Unmarshal(raw, &m) != nil {
		return m, refusal{reason: "manifest"}
	}
	return m, nil
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }
