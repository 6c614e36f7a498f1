package csv

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/connector"
)

// feed is what an account says about its files.
type feed struct {
	folder, kind, rows string
	name               pattern

	key        string
	keyPattern *regexp.Regexp
	columns    []string
	required   []string
	header     bool
	fold       bool
	ordered    bool
	cleared    bool // an empty cell clears
	clear      string

	comma    rune
	quote    string
	encoding string

	rowType, trailer         string
	trailerCount, trailerSum int
	manifest, marker         string
	stable                   time.Duration
	wait                     bool // for a sequence that is missing
	maxBytes                 int64
	maxRejected, maxPercent  int
	pageSize                 int
	archive, refused         string
	remove                   bool
}

var delimiters = map[string]rune{"comma": ',', "semicolon": ';', "tab": '\t', "pipe": '|'}

func read(a connector.Account) (feed, error) {
	f := feed{
		folder: strings.TrimRight(a.Text("folder"), "/"), kind: a.Text("kind"), rows: cmp.Or(a.Text("rows"), oneRow),
		key: a.Text("key"), columns: a.List("columns"), required: a.List("required"),
		header: true, fold: a.Text("header_case") != "exact", ordered: a.Bool("ordered"), clear: a.Text("clear"),
		comma: delimiters[cmp.Or(a.Text("delimiter"), "comma")], quote: cmp.Or(a.Text("quote"), "double"), encoding: cmp.Or(a.Text("encoding"), "utf-8"),
		rowType: a.Text("row_type"), trailer: a.Text("trailer"), trailerCount: a.Int("trailer_count"), trailerSum: a.Int("trailer_sha256"),
		manifest: a.Text("manifest"), marker: a.Text("marker"), stable: a.Duration("stable_for"),
		maxBytes: int64(a.Int("max_bytes")), maxRejected: a.Int("max_rejected"), maxPercent: a.Int("max_rejected_percent"), pageSize: a.Int("page_size"),
		archive: strings.TrimRight(a.Text("archive"), "/"), refused: strings.TrimRight(a.Text("refused"), "/"), remove: a.Bool("delete"),
	}
	if with, said := a.Settings["header"].(bool); said {
		f.header = with
	}
	f.cleared = a.Text("empty") == "cleared" || a.Text("empty") == "" && f.kind != partial
	f.wait = a.Text("gap") == "wait" || a.Text("gap") == "" && f.kind != full
	if f.maxBytes <= 0 {
		f.maxBytes = 64 << 20
	}
	if f.pageSize <= 0 {
		f.pageSize = 2000
	}
	var err error
	if f.name, err = parsePattern(cmp.Or(a.Text("name"), "*.csv")); err != nil {
		return f, err
	}
	if p := a.Text("key_pattern"); p != "" {
		if f.keyPattern, err = regexp.Compile("^(?:" + p + ")$"); err != nil {
			return f, errors.New("key_pattern is not a regular expression")
		}
	}
	return f, f.check()
}

func (f *feed) check() error {
	if !slices.Contains([]string{full, changed, partial}, f.kind) {
		return fmt.Errorf("kind: write %s, %s or %s", full, changed, partial)
	}
	seen := map[string]bool{}
	for _, c := range f.columns {
		if seen[f.folded(c)] {
			return fmt.Errorf("columns: %s stands twice", c)
		}
		seen[f.folded(c)] = true
	}
	for _, c := range append([]string{f.key}, f.required...) {
		if len(f.columns) > 0 && !seen[f.folded(c)] {
			return fmt.Errorf("columns: %s is not among them", c)
		}
	}
	switch {
	case f.key == "":
		return errors.New("key is missing: the column with the person's key")
	case (!f.header || f.ordered) && len(f.columns) == 0:
		return errors.New("columns is missing: it gives the order of the columns")
	case f.trailer == "" && f.trailerCount+f.trailerSum > 0:
		return errors.New("trailer is missing: the first cell of the line that trailer_count and trailer_sha256 speak of")
	case f.remove && f.archive != "":
		return errors.New("archive and delete: write one of them")
	case f.archive != "" && f.archive == f.folder, f.refused != "" && f.refused == f.folder:
		return errors.New("archive and refused: a file would be found there again")
	}
	for name, beside := range map[string]string{"manifest": f.manifest, "marker": f.marker} {
		if beside != "" && (!strings.Contains(beside, "{name}") || strings.Contains(beside, "/")) {
			return fmt.Errorf("%s: write a name with {name} in it, without a folder", name)
		}
	}
	return nil
}

// folded is a column's name as it is compared.
func (f *feed) folded(column string) string {
	column = strings.TrimSpace(column)
	if f.fold {
		column = strings.ToLower(column)
	}
	return column
}

// beside is the name of a companion of a file.
func beside(template, name string) string {
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		name = name[:i]
	}
	return strings.ReplaceAll(template, "{name}", name)
}
