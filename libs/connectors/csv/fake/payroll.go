package fake

import (
	"bytes"
	stdcsv "encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/text/encoding/charmap"

	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connector/fake/sftpserver"
)

// payroll takes the change files that are brought to an account's folder, once
// they are whole, and says what came of them. People are known by their number.
type payroll struct {
	*sftpserver.Server
	o fake.Options

	mu     sync.Mutex
	got    map[string][]byte // files whose manifest has not come yet
	last   int64             // number of the file taken last
	people map[string]map[string]any
}

func newPayroll(s *sftpserver.Server, o fake.Options) *payroll {
	return &payroll{Server: s, o: o, got: map[string][]byte{}, people: map[string]map[string]any{}}
}

func (p *payroll) setting(name, def string) string {
	if v := p.o.Settings[name]; v != "" {
		return v
	}
	return def
}

// arrived is called for each file when it has its own name.
func (p *payroll) arrived(name string, data []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if path.Dir(name) != at(p.o.Settings["folder"]) {
		return
	}
	if p.o.Settings["manifest"] == "" {
		p.take(name, data)
		return
	}
	var m struct {
		File string `json:"file"`
	}
	if json.Unmarshal(data, &m) != nil || m.File == "" { // the file that a manifest will speak of
		p.got[name] = data
		return
	}
	if file := path.Join(path.Dir(name), m.File); p.got[file] != nil {
		p.take(file, p.got[file])
		delete(p.got, file)
	}
}

// reject is a row that is not taken.
type reject struct {
	line                       int
	number, field, code, cells string
}

var digits = regexp.MustCompile(`[0-9]+`)

// take reads a file and answers for it.
func (p *payroll) take(name string, data []byte) {
	base := path.Base(name)
	var number int64
	for _, d := range digits.FindAllString(base, -1) { // the last number of a name is its sequence
		number, _ = strconv.ParseInt(d, 10, 64) // too many digits: not one of ours
	}
	if number <= p.last {
		p.answer(base, number, data, "rejected", 0, nil)
		return
	}
	rows, lines, err := p.rows(data)
	if err != nil {
		p.answer(base, number, data, "rejected", 0, nil)
		return
	}
	p.last = number
	var rejects []reject
	keys := map[string]bool{}
	for i, r := range rows {
		key := r["employee_number"] + "|" + r["change_type"] + "|" + r["effective_date"] + "|" + r["deduction_code"]
		field, code := p.judge(r)
		if keys[key] {
			field, code = "change_type", "DUPLICATE_ROW"
		}
		if keys[key] = true; code != "" {
			rejects = append(rejects, reject{lines[i], r["employee_number"], field, code, r[""]})
			continue
		}
		p.apply(r)
	}
	status := "accepted"
	if len(rejects) > 0 {
		status = "accepted_with_rejects"
	}
	p.answer(base, number, data, status, len(rows), rejects)
}

// rows are those of values, by column, each with its line; the cells as they
// came stand under "".
func (p *payroll) rows(data []byte) (rows []map[string]string, lines []int, err error) {
	if p.o.Settings["encoding"] == "windows-1252" {
		if data, err = charmap.Windows1252.NewDecoder().Bytes(data); err != nil {
			return nil, nil, err
		}
	}
	r := stdcsv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))))
	r.FieldsPerRecord = -1
	if comma := map[string]rune{"semicolon": ';', "tab": '\t', "pipe": '|'}[p.o.Settings["delimiter"]]; comma != 0 {
		r.Comma = comma
	}
	var header []string
	all, err := r.ReadAll()
	if err != nil || len(all) == 0 {
		return nil, nil, fmt.Errorf("not a file of rows: %w", err)
	}
	header = all[0]
	for i, cells := range all[1:] {
		if len(cells) != len(header) { // the trailer
			continue
		}
		row := map[string]string{"": strings.Join(cells, ",")}
		for n, c := range header {
			row[c] = cells[n]
		}
		rows, lines = append(rows, row), append(lines, i+2)
	}
	return rows, lines, nil
}

// judge tells why a row is not taken: the column and a code.
func (p *payroll) judge(r map[string]string) (field, code string) {
	codes := p.o.Settings["deduction_codes"]
	switch {
	case r["employee_number"] == "":
		return "employee_number", "MISSING"
	case r["change_type"] != "HIRE" && p.people[r["employee_number"]] == nil:
		return "employee_number", "UNKNOWN_EMPLOYEE"
	case r["change_type"] == "DEDUCTION" && codes != "" && !slices.Contains(strings.Split(codes, ","), r["deduction_code"]):
		return "deduction_code", "UNKNOWN_CODE"
	}
	return "", ""
}

// apply is the effect of a row: an empty cell changes nothing.
func (p *payroll) apply(r map[string]string) {
	number, kind := r["employee_number"], r["change_type"]
	op := fake.Update
	person := maps.Clone(p.people[number])
	switch {
	case person == nil:
		op, person = fake.Create, map[string]any{}
	case kind == "HIRE":
		op = fake.Enable
	case kind == "TERM":
		op = fake.Disable
	}
	said := map[string]any{}
	for c, v := range r {
		switch {
		case v == "" || c == "" || c == "record_type" || c == "company_code":
			continue
		case kind == "DEDUCTION" && strings.HasPrefix(c, "deduction_"):
			name := "deduction " + r["deduction_code"] + " " + strings.TrimPrefix(c, "deduction_")
			if c != "deduction_code" {
				person[name] = v
			}
		case c == "change_type" || c == "effective_date":
		case v == p.setting("clear", "\x00"):
			delete(person, c)
		default:
			person[c] = v
		}
		said[c] = v
	}
	p.people[number] = person
	p.Log().Put(number, person)
	p.Log().Wrote(fake.Write{At: p.o.Time(), Key: number, Op: op, Body: said})
}

// answer lays down the rejects, then the acknowledgement that names them.
func (p *payroll) answer(base string, number int64, data []byte, status string, received int, rejects []reject) {
	if p.o.Settings["ack"] != "files" {
		return
	}
	stem := strings.TrimSuffix(base, path.Ext(base))
	folder := p.setting("ack_folder", p.o.Settings["folder"])
	named := func(setting, def string) string { return strings.ReplaceAll(p.setting(setting, def), "{name}", stem) }
	ack := map[string]any{
		"file": base, "sequence": number, "sha256": hash(data), "received_at": p.o.Time().Format(time.RFC3339), "status": status,
		"rows": map[string]int{"received": received, "applied": received - len(rejects), "rejected": len(rejects)},
	}
	if len(rejects) > 0 {
		var b bytes.Buffer
		w := stdcsv.NewWriter(&b)
		w.UseCRLF = true
		lines := [][]string{{"line_number", "employee_number", "field", "code", "message", "original_row"}}
		for _, r := range rejects {
			lines = append(lines, []string{strconv.Itoa(r.line), r.number, r.field, r.code, "Row was not applied", r.cells})
		}
		_ = w.WriteAll(lines) // into memory
		ack["reject_file"] = named("rejects_name", "{name}.rejects.csv")
		p.Lay(path.Join(folder, named("rejects_name", "{name}.rejects.csv")), b.Bytes())
	}
	text, _ := json.MarshalIndent(ack, "", "  ") // texts and numbers
	p.Lay(path.Join(folder, named("ack_name", "{name}.ack.json")), append(text, '\n'))
}
