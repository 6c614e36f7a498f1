package workday

import (
	"cmp"
	"errors"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/connector"
)

const defaultKey = "WID"

// feed is what an account says about its report.
type feed struct {
	path       string // below the base URL, escaped
	prompts    map[string]string
	changes    bool // a prompt has {since}
	zone       *time.Location
	fullEvery  time.Duration
	overlap    time.Duration
	ahead      int
	key        string
	hireDate   string
	active     string
	pageSize   int
	maxRow     int64
	maxBytes   int64
	maxRefused int
	timeout    time.Duration
}

var (
	segment     = regexp.MustCompile(`^[A-Za-z0-9_.@~-]+$`)
	placeholder = regexp.MustCompile(`\{[a-z_]*\}`)
)

func read(a connector.Account) (feed, error) {
	f := feed{
		prompts: a.Table("prompts"), fullEvery: a.Duration("full_every"), overlap: a.Duration("overlap"), ahead: a.Int("ahead"),
		key: cmp.Or(a.Text("key"), defaultKey), hireDate: cmp.Or(a.Text("hire_date"), "Hire_Date"), active: cmp.Or(a.Text("active"), "Active"),
		pageSize: a.Int("page_size"), maxRow: int64(a.Int("max_row")), maxBytes: int64(a.Int("max_bytes")), maxRefused: a.Int("max_refused"),
		timeout: cmp.Or(a.Duration("timeout"), time.Hour),
	}
	if f.pageSize <= 0 {
		f.pageSize = 500
	}
	if f.maxRow <= 0 {
		f.maxRow = 1 << 20
	}
	if f.maxBytes <= 0 {
		f.maxBytes = 4 << 30
	}
	if _, said := a.Settings["max_refused"]; !said {
		f.maxRefused = 100
	}
	owner, name, ok := strings.Cut(a.Text("report"), "/")
	for _, s := range []string{a.Text("tenant"), owner, name} {
		if !ok || !segment.MatchString(s) {
			return f, errors.New("workday: set tenant, and report to owner and name as in the report's address: ISU_MUSTER/Muster_Workers")
		}
	}
	f.path = "/ccx/service/customreport2/" + a.Text("tenant") + "/" + url.PathEscape(owner) + "/" + url.PathEscape(name)
	var err error
	if f.zone, err = time.LoadLocation(cmp.Or(a.Text("zone"), "UTC")); err != nil {
		return f, errors.New("workday: zone is no time zone: write one as Europe/Dublin")
	}
	asOf := false
	for _, value := range f.prompts {
		for _, p := range placeholder.FindAllString(value, -1) {
			switch p {
			case "{as_of}":
				asOf = true
			case "{since}", "{since_day}":
				f.changes = true
			case "{moment}":
			default:
				return f, errors.New("workday: prompts may hold {as_of}, {moment}, {since} and {since_day}, and a name in braces that is none of them stands there")
			}
		}
	}
	if f.ahead < 0 || f.ahead > 0 && !asOf {
		return f, errors.New("workday: ahead needs a prompt with {as_of}, and a number of days above 0")
	}
	return f, nil
}

// query answers the prompts of one read: from `since` (zero: everybody) as of a day.
func (f *feed) query(start, since time.Time, ahead int) url.Values {
	q := url.Values{"format": {"json"}}
	day := func(t time.Time) string { return t.In(f.zone).Format(time.DateOnly) }
	moment := func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
	fill := strings.NewReplacer("{as_of}", day(start.In(f.zone).AddDate(0, 0, ahead)), "{moment}", moment(start), "{since}", moment(since), "{since_day}", day(since))
	for name, value := range f.prompts {
		if since.IsZero() && strings.Contains(value, "{since") {
			continue // a prompt of changes is left open for a read of everybody
		}
		q.Set(name, fill.Replace(value))
	}
	return q
}
