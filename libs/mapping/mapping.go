// Package mapping turns vendor records into canonical fields and canonical
// fields into what a vendor wants, by files that people read and change.
//
//	record ──► Observe ──► observation        (transform)
//	employee ──► Body ──► body for a target   (delivery)
//
// A mapping is a YAML file of rules, one per field. A rule says where the value
// comes from (`from`, `const`, `cel`, …) and what is done to it (`map`, `date`,
// `phone`, …); docs/mapping.md lists the operators. Paths, operators and CEL
// are compiled when the file is read: [Parse] lists everything that is wrong
// with it at once, and nothing is parsed again per record.
//
// In both directions absent means not said, null cleared. A value that does not
// fit fails the record with a fault that names the place and the kind of value
// that was found, never the value.
package mapping

import (
	"slices"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
)

// Direction is the way a mapping goes.
type Direction int

// The directions.
const (
	FromVendor Direction = iota // record → canonical
	ToVendor                    // canonical → body
)

// Options say how a file is to be read.
type Options struct {
	Direction Direction
	Base      *Mapping               // shipped mapping that the file overrides rule by rule; nil if none
	Custom    employee.CustomClasses // custom fields the company declares
	Source    string                 // name of the configured account: `$source`
}

// Mapping is a compiled mapping file. It is safe for concurrent use.
type Mapping struct {
	direction Direction
	source    string
	rules     []*field
	top       int    // members at the top of what the rules write
	effective *field // day from which the record holds; nil if the file says none
	custom    employee.CustomClasses
}

// field is one rule with the place it writes to.
type field struct {
	key          string // as written, $source resolved
	line, column int    // in its file
	get          getter
	put          []place
	reads        []string // canonical paths, of a target mapping
	whole        string   // pattern it writes, of a source mapping
}

// Observation is a record in canonical fields.
type Observation struct {
	Source    string            `json:"source"`
	Key       string            `json:"key"`
	Version   connector.Version `json:"version,omitzero"`
	Effective string            `json:"effective,omitempty"` // day; "" if the record does not say one
	Fields    employee.Tree     `json:"fields"`
}

// Input is what a target mapping may use besides the employee.
type Input struct {
	Account string                         // name of the configured target
	ID      string                         // our employee id, `$id`
	Type    string                         // event type; its verb is `$verb`
	Event   string                         // CloudEvents id
	Status  string                         // employment.status, `$status`; "" means that of the tree
	Ref     func(id string) (string, bool) // our employee id → the target's; nil resolves nobody
}

// Flags say what a body is waiting for.
type Flags struct {
	WaitsFor []string // our ids of people that the target does not know yet
}

// Writes lists the canonical patterns that a source mapping can set, sorted.
func (m *Mapping) Writes() []string {
	var out []string
	if m.direction == FromVendor {
		for _, f := range m.rules {
			if f.whole != "" {
				out = append(out, f.whole)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Reads lists the canonical paths that a target mapping reads, sorted, those in
// CEL included. An element is named with its key where the rule names one
// (`phones[work].number`), so that an allow-list of elements can be compared.
func (m *Mapping) Reads() []string {
	var out []string
	if m.direction == ToVendor {
		for _, f := range m.rules {
			out = append(out, f.reads...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Custom are the custom fields and classes that the file itself declares, with
// those of its base. A company's own declaration stands above them.
func (m *Mapping) Custom() employee.CustomClasses { return m.custom }

// day is the calendar day of now in its own zone.
func day(now time.Time) string { return now.Format(time.DateOnly) }
