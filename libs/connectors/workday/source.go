package workday

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

// idle is how long a report stays open without anybody asking for its next page.
const idle = 5 * time.Minute

// source reads the report, of everybody or of what changed.
type source struct {
	feed
	*client
	log *slog.Logger

	mu  sync.Mutex
	run *run  // the read under way: an open answer cannot be found again after a restart
	cut error // why the last read was cut off, which its page could not say
}

func open(a connector.Account) (*source, error) {
	f, err := read(a)
	if err != nil {
		return nil, err
	}
	c, err := newClient(a)
	if err != nil {
		return nil, err
	}
	s := &source{feed: f, client: c, log: a.Log}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s, nil
}

func newSource(a connector.Account) (connector.Source, error) { return open(a) }

type check struct{ *source }

func newCheck(a connector.Account) (connector.Check, error) {
	s, err := open(a)
	return check{s}, err
}

// Check runs the report and looks at its first row: that it is one, and that it
// has the key. It ends there.
func (c check) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	body, err := c.client.open(ctx, c.path, c.query(c.now(), time.Time{}, 0))
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }() // the rest is not wanted
	row, err := newRows(body, c.maxRow, c.maxBytes).next()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		if _, reason := c.keyOf(row); reason != "" {
			err = noKey()
		}
	}
	return err
}

func noKey() error {
	return fault.New(fault.Target, "key_column", "the report's first row has no text in the column that key names")
}

// Changes gives the next page of the read under way, or the first one of a new
// read. A read that nobody holds open any more begins again, as another one.
// It is called by one goroutine.
func (s *source) Changes(ctx context.Context, after connector.Cursor) (connector.Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.cut; err != nil {
		s.cut = nil
		return connector.Page{}, err
	}
	p, err := parsePlace(after)
	if err != nil {
		return connector.Page{}, err
	}
	if s.run == nil || p.Open == nil || *p.Open != s.run.opened {
		if err := s.begin(ctx, p); err != nil {
			return connector.Page{}, err
		}
	}
	page, err := s.page(ctx, &p)
	if err != nil {
		s.drop()
		return connector.Page{}, err
	}
	page.Next, err = p.cursor()
	return page, err
}

// begin opens a read: of everybody when it is time for that, else of changes.
func (s *source) begin(ctx context.Context, p place) error {
	s.drop()
	start, since := s.now(), time.Time{}
	if full := instant(p.Full); s.changes && p.Full != "" && start.Sub(full) < s.fullEvery {
		since = instant(p.Mark).Add(-s.overlap)
	}
	r := &run{feed: &s.feed, start: start, since: since, opened: opened{Start: stamp(start)}, seen: map[uint64]struct{}{}}
	if !since.IsZero() {
		r.opened.Since = stamp(since)
	}
	var running context.Context
	// A read outlives the call: its next pages come with other contexts.
	running, r.cancel = context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer context.AfterFunc(ctx, r.cancel)()
	if s.ahead > 0 {
		if err := s.foresee(running, r); err != nil {
			r.close()
			return told(ctx, err)
		}
	}
	body, err := s.client.open(running, s.path, s.query(start, since, 0))
	if err != nil {
		r.close()
		return told(ctx, err)
	}
	r.body, r.rows = body, newRows(body, s.maxRow, s.maxBytes)
	r.idle = time.AfterFunc(idle, r.cancel)
	s.run = r
	return nil
}

// told lets the end of the caller's context win over what came of it.
func told(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &fault.Error{Class: fault.Transient, Reason: "canceled", Err: ctx.Err()}
	}
	return err
}

// foresee reads the report as of a later day, for those who are hired by then:
// as of today it shows little of them, and of who comes back what he was. So a
// read of changes looks ahead too, or it would undo what the full read said.
func (s *source) foresee(ctx context.Context, r *run) error {
	body, err := s.client.open(ctx, s.path, s.query(r.start, r.since, s.feed.ahead))
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }() // read to its end, or given up
	return r.foresee(newRows(body, s.maxRow, s.maxBytes))
}

// drop ends the read under way.
func (s *source) drop() {
	if s.run != nil {
		s.run.close()
		s.run = nil
	}
}

// page takes the next rows. What was read before an answer was cut off is given
// on, as the last page of a read that failed; the reason follows with the next
// call, so that it is tried again as other failures are.
func (s *source) page(ctx context.Context, p *place) (connector.Page, error) {
	r := s.run
	r.idle.Stop()
	defer context.AfterFunc(ctx, r.cancel)()
	page := connector.Page{Records: make([]connector.Record, 0, s.pageSize), More: true}
	begin := r.opened.Rows == 0
	err := r.fill(&page)
	if ctx.Err() != nil {
		return page, told(ctx, err)
	}
	full := r.since.IsZero()
	if full {
		page.Frame = connector.Frame{Read: r.opened.Start, Begin: begin}
	}
	switch {
	case err == nil:
		r.opened.Rows += len(page.Records) + len(page.Rejected)
		o := r.opened
		p.Open = &o
		r.idle.Reset(idle)
		return page, nil
	case errors.Is(err, io.EOF):
		page.More = false
		p.Open, p.Cut, p.Mark = nil, 0, r.opened.Start
		if full {
			p.Full = r.opened.Start
			page.Frame.End = r.ending()
			if r.rows.at < 0 {
				s.log.Warn("the report has no row: nobody counts as gone", "reason", "empty")
			}
		}
	case begin && len(page.Records) == 0:
		return page, err
	default:
		if full {
			page.Frame.End = connector.Failed
		}
		p.Open = nil
		p.Cut++
		s.cut = err
	}
	s.drop()
	return page, nil
}
