package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// Staged is one change that goes to its target in a file, until the end of that
// file is known. Whether it is in one already is said by the record of the file.
type Staged struct {
	Event       string    `json:"event"`
	Type        string    `json:"type,omitempty"`
	Version     uint64    `json:"version"`
	Integration string    `json:"integration,omitempty"`
	Fields      []string  `json:"fields,omitempty"`
	At          time.Time `json:"at"` // since when it waits; zero: it was taken, and is kept for what it told
	AcceptedAt  time.Time `json:"accepted_at,omitzero"`
	Trace       string    `json:"trace,omitempty"`
	Digest      string    `json:"digest,omitempty"` // of what the target had been told before it
	Status      string    `json:"status,omitempty"` // likewise; of a cut one, what it told itself
	Cut         bool      `json:"cut,omitempty"`    // one that it stands on was refused after it was on its way: what it told may be there instead

	Keys    []string       `json:"-"` // what may stand once in a file, sealed
	Content []byte         `json:"-"` // the piece, sealed
	Before  map[string]any `json:"-"` // body that it was built on, sealed; of a cut one, what it told itself
}

type sealedStaged struct {
	Keys    []string       `json:"keys,omitempty"`
	Content []byte         `json:"content,omitempty"`
	Before  map[string]any `json:"before,omitempty"`
}

func sealStaged(all []Staged) (out []sealedStaged) {
	for _, s := range all {
		out = append(out, sealedStaged{s.Keys, s.Content, s.Before})
	}
	return out
}

func openStaged(all []Staged, sealed []sealedStaged) error {
	if sealed == nil {
		return nil
	}
	if len(all) != len(sealed) {
		return errors.New("there are not as many pieces as the head says")
	}
	for i, s := range sealed {
		all[i].Keys, all[i].Content, all[i].Before = s.Keys, s.Content, s.Before
	}
	return nil
}

// Outcomes of a file, in their order.
const (
	FileIntended = "intended" // it is going to be brought to the target, or was and nobody could say so
	FileAccepted = "accepted" // it is there
	FileAnswered = "answered" // the target said what came of it
	FileSettled  = "settled"  // that stands in the records of everybody in it
)

// File is what became of a numbered file. The last message about one is all
// that is known of it; nothing in it is personal.
type File struct {
	Target   string    `json:"target"`
	Number   int64     `json:"number"`
	Previous int64     `json:"previous,omitempty"`
	Outcome  string    `json:"outcome"`
	Built    time.Time `json:"built"` // the time in it
	At       time.Time `json:"at"`    // of this message
	Config   string    `json:"config"`

	Content
	Earlier *Content    `json:"earlier,omitempty"` // was intended under this number first, could not be built again, and may be there
	Answer  *FileAnswer `json:"answer,omitempty"`
	Late    bool        `json:"late,omitempty"` // no answer within the agreed time; told once

	Applied int `json:"applied,omitempty"` // once it is settled: how many members were taken,
	Refused int `json:"refused,omitempty"` // refused,
	Again   int `json:"again,omitempty"`   // or wait for another file
}

// Content is what a file was built of.
type Content struct {
	Names   []string `json:"names"`
	SHA256  []string `json:"sha256"` // of each part, in hex
	Sizes   []int    `json:"sizes"`  // in bytes
	Members []Member `json:"members,omitempty"`
	Starts  []int    `json:"starts,omitempty"` // where each member begins
}

// Member is one change in a file.
type Member struct {
	Employee string `json:"employee"`
	Event    string `json:"event"`
	Version  uint64 `json:"version"`
}

// FileAnswer is what a target said about a file.
type FileAnswer struct {
	ID      string        `json:"id,omitempty"`
	Refused []FileRefusal `json:"refused,omitempty"`
}

// FileRefusal is why a member was not taken; index -1 is everybody.
type FileRefusal struct {
	Index  int    `json:"index"`
	Reason string `json:"reason"`
	Path   string `json:"path,omitempty"`
	Rule   string `json:"rule,omitempty"`
	Others bool   `json:"others,omitempty"`
}

// File packs what became of a file. The same news has the same id.
func (c Codec) File(ctx context.Context, f File) (Message, error) {
	head, err := json.Marshal(f)
	if err != nil {
		return Message{}, err
	}
	data, err := c.Sealer.Seal(ctx, "", "", seal.Envelope{Head: head}) // nothing to seal: no key is fetched
	if err != nil {
		return Message{}, err
	}
	news := ""
	if f.Answer != nil {
		news = f.Answer.ID
	}
	id := c.Sealer.Token("file", f.Target, fmt.Sprint(f.Number), f.Outcome, strings.Join(f.SHA256, ","), fmt.Sprint(f.Late), news)
	return Message{topology.DeliveredFile(f.Target, f.Number), event.New(id, "/muster/"+c.Company+"/delivery-"+f.Target, event.DeliveryFiledV1, data)}, nil
}

// OpenFile opens what File packed. It needs no key.
func OpenFile(e event.Event) (File, error) {
	var f File
	head, err := seal.Head(e.Data())
	if err == nil {
		err = decode("head", e.Type(), head, &f)
	}
	if err == nil && f.Number <= 0 {
		err = fmt.Errorf("head of %s %w", e.Type(), errForm)
	}
	return f, foreign(err)
}
