package workday

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/muster-hr/muster/libs/connector"
)

// endless makes a report of n rows as it is read.
type endless struct {
	n, at int
	rest  string
}

func (e *endless) Read(b []byte) (int, error) {
	for e.rest == "" {
		switch {
		case e.at > e.n:
			return 0, io.EOF
		case e.at == e.n:
			e.rest = `]}`
		default:
			open := ","
			if e.at == 0 {
				open = `{"Report_Entry":[`
			}
			e.rest = fmt.Sprintf(`%s{"WID":"3aa5550b7fe348b9%016x","Employee_ID":"%06d","Active":"1","Hire_Date":"2020-01-01","Comment":"%s"}`, open, e.at, e.at, strings.Repeat("x", 600))
		}
		e.at++
	}
	n := copy(b, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

func (e *endless) Close() error { return nil }

// TestMemoryIsBounded: a report of 100,000 people (75 MB) is read in pages, and
// never is more in memory than a page and what tells keys apart.
func TestMemoryIsBounded(t *testing.T) {
	const people, page, most = 100_000, 500, 16 << 20
	w := newWorld(t, nil)
	report := &endless{n: people}
	w.remote.Answer = func(*http.Request) *http.Response {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: report}
	}
	s := w.source(map[string]any{"page_size": page})
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, peak, n, pages := heap(), uint64(0), 0, 0
	after := connector.Cursor("")
	for more := true; more; pages++ {
		p, err := s.Changes(t.Context(), after)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Records) > page {
			t.Fatalf("a page of %d", len(p.Records))
		}
		if pages%20 == 0 {
			peak = max(peak, heap())
		}
		n, after, more = n+len(p.Records), p.Next, p.More
	}
	if used := int64(peak) - int64(before); n != people || used > most {
		t.Errorf("%d records in %d pages, %d KiB more in memory, want at most %d", n, pages, used>>10, most>>10)
	}
}
