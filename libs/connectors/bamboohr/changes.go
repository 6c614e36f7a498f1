package bamboohr

import (
	"cmp"
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

// source lists who changed. Its cursor is the vendor's mark `latest`, RFC 3339 UTC.
type source struct {
	*client
	overlap time.Duration
	covers  bool
}

func newSource(a connector.Account) (connector.Source, error) {
	c, err := newClient(a)
	return source{c, overlap(a), !slices.ContainsFunc(a.List("tables"), func(t string) bool { return !slices.Contains(defaultTables, t) })}, err
}

// Covers: rows of other tables than the three that count as a change of an
// employee have webhooks and stand in no list.
func (s source) Covers() bool { return s.covers }

func overlap(a connector.Account) time.Duration {
	if _, set := a.Settings["overlap"]; !set {
		return time.Minute
	}
	return a.Duration("overlap")
}

// beginning lies before any employee was changed.
var beginning = time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC)

// Changes gives hints in one page: the call has no paging. It reaches back a
// little behind the mark, since it is undocumented whether the mark itself is
// included; a hint seen twice has the same ID.
func (s source) Changes(ctx context.Context, after connector.Cursor) (connector.Page, error) {
	since := beginning
	if after != "" {
		t, ok := instant(string(after))
		if !ok {
			return connector.Page{}, fault.New(fault.Target, "cursor", "the saved cursor is not a time")
		}
		since = t.Add(-s.overlap)
	}
	var list changedList
	if _, err := s.get(ctx, changedCall(since, ""), &list); err != nil {
		return connector.Page{}, err
	}
	hints, err := list.hints()
	if err != nil {
		return connector.Page{}, err
	}
	next := after
	if t, ok := instant(list.Latest); ok {
		old, hasOld := instant(string(after))
		if !hasOld || t.After(old) { // never back
			next = connector.Cursor(t.Format(time.RFC3339Nano))
		}
	}
	return connector.Page{Records: hints, Next: next}, nil
}

// changedCall asks for the employees changed since t; kind is "inserted",
// "updated", "deleted" or "" for all.
func changedCall(t time.Time, kind string) call {
	q := url.Values{"since": {t.UTC().Format(time.RFC3339)}}
	if kind != "" {
		q.Set("type", kind)
	}
	return call{path: "/employees/changed", template: "/employees/changed", query: q}
}

// changedList is {"latest", "employees": {"117": {"id", "action", "lastChanged"}}}.
// An empty map may print as [].
type changedList struct {
	Latest    string          `json:"latest"`
	Employees json.RawMessage `json:"employees"`
}

type changedOne struct {
	ID          json.RawMessage `json:"id"`
	Action      string          `json:"action"`
	LastChanged string          `json:"lastChanged"`
}

// hints are in the order of the changes: that of the map means nothing.
func (l changedList) hints() ([]connector.Record, error) {
	people := map[string]changedOne{}
	if err := phpMap(l.Employees, &people); err != nil {
		return nil, err
	}
	recs := make([]connector.Record, 0, len(people))
	for key, one := range people {
		if id, ok := idText(one.ID); ok {
			key = id
		}
		if !isID(key) {
			return nil, unreadable("employees", "an entry of the list names no employee")
		}
		body, err := encode(one)
		if err != nil {
			return nil, unreadable("employees", "an entry of the list cannot be written as JSON")
		}
		recs = append(recs, connector.Record{
			Kind: connector.KindHint, Key: key, Event: "employee." + actionWord(one.Action),
			ID: bodyID(body), Version: timeVersion(one.LastChanged), Body: body,
		})
	}
	slices.SortFunc(recs, func(a, b connector.Record) int {
		return cmp.Or(cmp.Compare(a.Version.Value, b.Version.Value), cmp.Compare(len(a.Key), len(b.Key)), cmp.Compare(a.Key, b.Key))
	})
	return recs, nil
}

// actionWord brings `Inserted` of the list and `Created` of the webhook to one word.
func actionWord(action string) string {
	switch w := strings.ToLower(action); w {
	case "inserted":
		return "created"
	case "":
		return "updated"
	default:
		return w
	}
}

// phpMap decodes an object; an empty one may come as [], null or not at all.
func phpMap[T any](raw json.RawMessage, into *map[string]T) error {
	switch strings.Join(strings.Fields(string(raw)), "") {
	case "", "[]", "null":
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return unreadable("employees", "employees is not an object")
	}
	return nil
}
