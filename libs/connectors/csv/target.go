package csv

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"golang.org/x/text/encoding/charmap"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/sftpx"
	"github.com/muster-hr/muster/libs/fault"
)

// target writes a payroll's change files.
type target struct {
	client *sftpx.Client

	folder, ackFolder, name    string
	sender, feed, company      string
	columns                    []string
	rowType, comma, end, clear string
	encoding, lineEnding       string
	mark                       bool
	trailer                    []string
	manifest, ack, rejects     string
	encryption                 map[string]string
	recipientSuffix            string
	namesAlways                bool
	required                   map[string][]string
	first                      int64
	within                     time.Duration
}

// payrollColumns are those of the file as most payrolls that were seen want it.
var payrollColumns = []string{
	colRecord, colCompany, colNumber, "external_id", colChange, colEffective, colFamily, colGiven, colBirth, colSSN, colEmail, colStatus,
	colHired, colTerminated, "last_day_worked", "pay_type", colRate, "pay_period", colCurrency, colCenter,
	colCode, colAmount, colStart, colEnd,
}

// defaultName orders by time and by number.
const defaultName = "{company}_{feed}_{time}_{sequence}.csv"

func newTarget(a connector.Account) (*target, error) {
	t := &target{
		folder: strings.TrimRight(a.Text("folder"), "/"), name: cmp.Or(a.Text("file_name"), defaultName),
		sender: a.Text("sender"), feed: cmp.Or(a.Text("feed"), "PAYCHG"), company: a.Text("company_code"),
		columns: a.List("columns"), rowType: cmp.Or(a.Text("row_type"), "D"), clear: a.Text("clear"),
		encoding: cmp.Or(a.Text("encoding"), "utf-8"), lineEnding: cmp.Or(a.Text("line_ending"), "crlf"), mark: a.Bool("byte_order_mark"),
		trailer: a.List("trailer_line"), manifest: a.Text("manifest"), encryption: a.Table("encryption"), recipientSuffix: cmp.Or(a.Text("encrypted_suffix"), ".pgp"),
		namesAlways: a.Bool("names_in_all_rows"), first: int64(a.Int("first_sequence")), within: a.Duration("ack_within"),
		required: map[string][]string{hire: a.List("required_hire"), pay: a.List("required_pay")},
	}
	if len(t.columns) == 0 {
		t.columns = payrollColumns
	}
	t.comma = string(delimiters[cmp.Or(a.Text("delimiter"), "comma")])
	t.end = map[string]string{"crlf": "\r\n", "lf": "\n"}[t.lineEnding]
	t.ackFolder = strings.TrimRight(cmp.Or(a.Text("ack_folder"), t.folder), "/")
	if a.Text("ack") == "files" {
		t.ack, t.rejects = cmp.Or(a.Text("ack_name"), "{name}.ack.json"), cmp.Or(a.Text("rejects_name"), "{name}.rejects.csv")
	}
	return t, t.check()
}

func newFiles(a connector.Account) (connector.Files, error) {
	t, err := newTarget(a)
	if err != nil {
		return nil, err
	}
	t.client, err = sftpx.New(a)
	return t, err
}

func (t *target) check() error {
	seen := map[string]bool{}
	for _, c := range t.columns {
		if seen[c] {
			return fmt.Errorf("columns: %s stands twice", c)
		}
		seen[c] = true
	}
	for _, c := range []string{colNumber, colChange, colEffective} {
		if !seen[c] {
			return fmt.Errorf("columns: %s is not among them, and a row is known by it", c)
		}
	}
	for change, columns := range t.required {
		for _, c := range columns {
			if !seen[c] {
				return fmt.Errorf("required_%s: %s is not among the columns", strings.ToLower(change), c)
			}
		}
	}
	switch {
	case !strings.Contains(t.name, "{sequence}") || strings.Contains(t.name, "/"):
		return errors.New("file_name: write a name with {sequence} in it, without a folder")
	case t.company == "" && slices.Contains(t.columns, colCompany):
		return errors.New("company_code is missing: the column of that name is of it")
	case t.end == "":
		return errors.New("line_ending: write crlf or lf")
	}
	for name, beside := range map[string]string{"manifest": t.manifest, "ack_name": t.ack, "rejects_name": t.rejects} {
		if beside != "" && (!strings.Contains(beside, "{name}") || strings.Contains(beside, "/")) {
			return fmt.Errorf("%s: write a name with {name} in it, without a folder", name)
		}
	}
	return nil
}

// Terms are what the account says.
func (t *target) Terms() connector.FileTerms {
	return connector.FileTerms{FirstNumber: t.first, Confirms: t.ack != "", AnswerWithin: t.within}
}

// Build puts a header before the rows and a trailer and a manifest after them.
func (t *target) Build(n connector.Numbering, pieces []connector.Piece) (connector.File, error) {
	var text strings.Builder
	text.WriteString(t.line(t.columns))
	out := connector.File{Starts: make([]int, 0, len(pieces))}
	lines := 1
	for i, p := range pieces {
		rows, err := rowsOf(p)
		if err != nil {
			return out, fmt.Errorf("piece %d: %w", i, err)
		}
		out.Starts = append(out.Starts, lines+1)
		lines += len(rows)
		for _, r := range rows {
			cells, err := t.cells(r)
			if err != nil {
				return out, fmt.Errorf("piece %d: %w", i, err)
			}
			text.WriteString(t.line(cells))
		}
	}
	data, err := t.encode(text.String())
	if err != nil {
		return out, &fault.Error{Class: fault.Target, Reason: "encoding", Path: "columns", Err: err}
	}
	if len(t.trailer) > 0 {
		cells := make([]string, len(t.trailer))
		for i, c := range t.trailer {
			cells[i] = strings.NewReplacer("{company}", t.company, "{rows}", strconv.Itoa(lines-1), "{sha256}", sum(data)).Replace(c)
		}
		trailer, err := t.encodeRest(t.line(cells))
		if err != nil {
			return out, &fault.Error{Class: fault.Target, Reason: "encoding", Path: "trailer_line", Err: err}
		}
		data = append(data, trailer...)
	}
	name := t.fileName(n)
	out.Parts = []connector.FilePart{{Name: name, Content: data}}
	if t.manifest != "" {
		m, err := t.proof(n, name, data, lines-1)
		if err != nil {
			return out, err
		}
		out.Parts = append(out.Parts, connector.FilePart{Name: beside(t.manifest, name), Content: m})
	}
	return out, nil
}

func (t *target) fileName(n connector.Numbering) string {
	at := n.At.UTC()
	return strings.NewReplacer("{company}", t.company, "{sender}", t.sender, "{feed}", t.feed, "{sequence}", fmt.Sprintf("%06d", n.Number),
		"{time}", at.Format("20060102T150405Z"), "{date}", at.Format("20060102")).Replace(t.name)
}

// manifestOut is the form of a manifest as it is written; readers know it by
// its names, people by their order.
type manifestOut struct {
	Version     int               `json:"manifest_version"`
	Sender      string            `json:"sender,omitempty"`
	Feed        string            `json:"feed"`
	File        string            `json:"file"`
	Sequence    int64             `json:"sequence"`
	Previous    int64             `json:"previous_sequence"`
	Kind        string            `json:"kind"`
	CreatedAt   string            `json:"created_at"`
	Encoding    string            `json:"encoding"`
	Mark        bool              `json:"bom"`
	Delimiter   string            `json:"delimiter"`
	LineEnding  string            `json:"line_ending"`
	Header      []string          `json:"header"`
	Rows        int               `json:"detail_rows"`
	Bytes       int               `json:"bytes"`
	Sum         string            `json:"sha256"`
	EncryptedAs string            `json:"encrypted_as,omitempty"`
	Encryption  map[string]string `json:"encryption,omitempty"`
}

func (t *target) proof(n connector.Numbering, name string, data []byte, rows int) ([]byte, error) {
	m := manifestOut{
		Version: 1, Sender: t.sender, Feed: t.feed, File: name, Sequence: n.Number, Previous: n.Previous, Kind: "change",
		CreatedAt: n.At.UTC().Format(time.RFC3339), Encoding: t.encoding, Mark: t.mark, Delimiter: t.comma, LineEnding: strings.ToUpper(t.lineEnding),
		Header: t.columns, Rows: rows, Bytes: len(data), Sum: sum(data),
	}
	if len(t.encryption) > 0 {
		m.EncryptedAs, m.Encryption = name+t.recipientSuffix, t.encryption
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(m)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err // as the samples end
}

// line joins cells as RFC 4180 says. A value is never changed, also not one
// that a spreadsheet would take for a formula: payrolls read it as it is.
func (t *target) line(cells []string) string {
	out := make([]string, len(cells))
	for i, c := range cells {
		if c != "" && (strings.Contains(c, t.comma) || strings.ContainsAny(c, "\"\r\n") || c[0] == ' ' || c[len(c)-1] == ' ') {
			c = `"` + strings.ReplaceAll(c, `"`, `""`) + `"`
		}
		out[i] = c
	}
	return strings.Join(out, t.comma) + t.end
}

// encode gives the bytes of the beginning of a file, encodeRest of what follows.
func (t *target) encode(text string) ([]byte, error) {
	data, err := t.encodeRest(text)
	if t.mark {
		data = append(slices.Clone(map[string][]byte{"utf-8": mark8, "utf-16le": mark16}[t.encoding]), data...)
	}
	return data, err
}

var errEncoding = errors.New("a value has a character that the encoding of the file does not")

func (t *target) encodeRest(text string) ([]byte, error) {
	switch t.encoding {
	case "windows-1252":
		data, err := charmap.Windows1252.NewEncoder().Bytes([]byte(text))
		if err != nil { // whose text may quote the character
			return nil, errEncoding
		}
		return data, nil
	case "utf-16le":
		units := utf16.Encode([]rune(text))
		data := make([]byte, 0, 2*len(units))
		for _, u := range units {
			data = append(data, byte(u), byte(u>>8))
		}
		return data, nil
	}
	return []byte(text), nil
}

// Put brings the file, then its manifest.
func (t *target) Put(ctx context.Context, f connector.File) error {
	return t.client.With(ctx, func(s *sftpx.Session) error {
		for _, p := range f.Parts {
			if _, err := s.Put(path.Join(t.folder, p.Name), p.Content); err != nil {
				return err
			}
		}
		return nil
	})
}

// Check logs in and lists the folders.
func (t *target) Check(ctx context.Context) error {
	return t.client.With(ctx, func(s *sftpx.Session) error {
		_, err := s.List(t.folder)
		if err == nil && t.ack != "" {
			_, err = s.List(t.ackFolder)
		}
		return err
	})
}

// wrong is a fault of the person a row is about.
func wrong(reason, column string) error {
	return &fault.Error{Class: fault.Record, Reason: reason, Path: column, Err: errors.New("a row cannot be written")}
}
