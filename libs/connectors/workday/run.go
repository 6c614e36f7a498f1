package workday

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

// run is one read: an open answer and what must be known of the rows before.
type run struct {
	*feed
	start, since time.Time
	opened       opened
	cancel       context.CancelFunc
	idle         *time.Timer
	body         io.Closer
	rows         *rows

	coming  map[string]json.RawMessage // rows of those who are hired ahead, by key
	seed    maphash.Seed
	seen    map[uint64]struct{} // hashes of keys: a report built on positions has several rows of one person
	refused int
	ended   bool // the rows are read; those who are coming are left
}

func (r *run) close() {
	if r.cancel != nil {
		r.cancel()
	}
	if r.idle != nil {
		r.idle.Stop()
	}
	if r.body != nil {
		_ = r.body.Close() // it was read to its end, or is given up
	}
}

// mostComing bounds who is kept in memory until the report of today has passed.
const mostComing = 20_000

// foresee keeps the rows of a report of a later day whose hire lies between.
func (r *run) foresee(all *rows) error {
	r.coming = map[string]json.RawMessage{}
	from := r.start.In(r.zone)
	today, last := from.Format(time.DateOnly), from.AddDate(0, 0, r.ahead).Format(time.DateOnly)
	for {
		row, err := all.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		key, reason := r.keyOf(row)
		if hired := day(r.text(row, r.hireDate)); reason != "" || hired <= today || hired > last {
			continue
		}
		if r.coming[key] = row; len(r.coming) > mostComing {
			return fault.New(fault.Target, "ahead", "more than %d people are hired ahead: make the setting ahead smaller", mostComing)
		}
	}
}

// day is a calendar day as it was written: a zone behind it is dropped, and the
// day is never moved by it.
func day(s string) string { return s[:min(len(s), len(time.DateOnly))] }

// fill takes rows until the page is full. io.EOF: that was the last one of all.
func (r *run) fill(page *connector.Page) error {
	for len(page.Records)+len(page.Rejected) < r.pageSize {
		if r.ended {
			return r.fillComing(page)
		}
		row, err := r.rows.next()
		if errors.Is(err, io.EOF) {
			r.ended = true
			continue
		}
		if err != nil {
			return err
		}
		if err := r.take(page, row); err != nil {
			return err
		}
	}
	return nil
}

// take makes a record of a row, or lists it as refused.
func (r *run) take(page *connector.Page, row json.RawMessage) error {
	key, reason := r.keyOf(row)
	if reason != "" && r.rows.at == 0 {
		return noKey()
	}
	if reason == "" && !r.first(key) {
		reason = "duplicate_key"
	}
	if reason != "" {
		if r.refused++; r.refused > r.maxRefused {
			return fault.New(fault.Target, "refused", "more than %d rows of the report cannot be taken", r.maxRefused)
		}
		page.Rejected = append(page.Rejected, connector.Rejected{
			Key: key, ID: reason + "." + digest(row), Reason: reason, Path: fmt.Sprintf("%s[%d].%s", member, r.rows.at, r.key), Rule: "read " + r.opened.Start,
		})
		return nil
	}
	if later, ok := r.coming[key]; ok {
		delete(r.coming, key)
		if r.text(row, r.active) != "1" { // who works today is what he is today
			row = later
		}
	}
	page.Records = append(page.Records, r.record(key, row))
	return nil
}

// fillComing gives those whom the report of today does not show.
func (r *run) fillComing(page *connector.Page) error {
	for _, key := range slices.Sorted(maps.Keys(r.coming)) {
		if len(page.Records)+len(page.Rejected) >= r.pageSize {
			return nil
		}
		page.Records = append(page.Records, r.record(key, r.coming[key]))
		delete(r.coming, key)
	}
	return io.EOF
}

// ending is how a read of everybody ends that was read to its end. A report
// without a row says more about the rights of its user than about the company.
func (r *run) ending() connector.Ending {
	if r.rows.at < 0 || r.refused > 0 {
		return connector.Partial
	}
	return connector.Complete
}

func (r *run) first(key string) bool {
	h := maphash.String(r.seeded(), key)
	_, seen := r.seen[h]
	r.seen[h] = struct{}{}
	return !seen
}

func (r *run) seeded() maphash.Seed {
	if r.seed == (maphash.Seed{}) {
		r.seed = maphash.MakeSeed()
	}
	return r.seed
}

func (r *run) record(key string, row json.RawMessage) connector.Record {
	return record(key, row, r.start)
}

// record is a row as it was sent. Its version is the time before the report was
// asked for: what changes while it runs is newer.
func record(key string, row json.RawMessage, start time.Time) connector.Record {
	v := connector.Version{Scale: connector.ScaleRead, Value: stamp(start)}
	return connector.Record{Kind: connector.KindRecord, Key: key, ID: digest([]byte(v.Value), row), Version: v, Body: row}
}

func digest(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// keyOf is the person's key, or why there is none: "not_an_object", "no_key".
// Values of a report are text; a number may have lost its leading zeros.
func (f *feed) keyOf(row json.RawMessage) (key, reason string) {
	columns, ok := columns(row)
	if !ok {
		return "", "not_an_object"
	}
	if json.Unmarshal(columns[f.key], &key) != nil || key == "" {
		return "", "no_key"
	}
	return key, ""
}

func (f *feed) text(row json.RawMessage, column string) (s string) {
	columns, _ := columns(row)
	_ = json.Unmarshal(columns[column], &s) // "" if it is no text
	return s
}

func columns(row json.RawMessage) (map[string]json.RawMessage, bool) {
	var c map[string]json.RawMessage
	err := json.Unmarshal(row, &c)
	return c, err == nil && c != nil
}
