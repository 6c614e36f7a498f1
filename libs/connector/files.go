package connector

import (
	"context"
	"time"
)

// Files is a target that takes files instead of calls: what is due is gathered,
// a file is built of it once and numbered, its bytes are brought there, and what
// the receiver says of it comes back to the people in it. Used by delivery, in
// place of a [Sink].
//
//	change ► Piece ► (kept with the delivery, outcome accepted)
//	                    └─ when the file is due ► Build ► intent ► Put ► Answers ► applied, or a dead letter
//
// Build is a function of its arguments alone: after a crash the file is built
// again from what the intent names and compared by digest, so a repeat has the
// same name, number and bytes.
type Files interface {
	// Piece is what a file will hold of one change. All that could be wrong with a
	// person is found here, as a fault of class Record: a file never fails because
	// of somebody in it. A piece without content means that the change does not
	// concern the receiver.
	Piece(d Delivery) (Piece, error)
	// Build makes a file of pieces, in their order.
	Build(n Numbering, pieces []Piece) (File, error)
	// Put brings a file there whole or not at all. A file that is there already,
	// by name and size of all its parts, is done. A name that other content has is
	// a fault of class Record, reason [ReasonFileExists]: nothing is overwritten.
	// Errors are faults.
	Put(ctx context.Context, f File) error
	// Answers reads what the receiver said about files that await it. An answer
	// to a file that is not among them is passed over; nothing new is no error.
	Answers(ctx context.Context, open []Sent) ([]Answer, error)
	// Terms are constant for a target.
	Terms() FileTerms
}

// ReasonFileExists is the reason of a Put whose name is taken by other content.
const ReasonFileExists = "exists"

// FileTerms are what the receiver was agreed with.
type FileTerms struct {
	Pieces       int           // at most so many in a file; 0: 500
	FirstNumber  int64         // of the first file ever; 0: 1
	Confirms     bool          // the receiver answers; else a file that is there is the end of it
	AnswerWithin time.Duration // no answer for longer is told; never a reason to send again
}

// Piece is a person's part of a file.
type Piece struct {
	Key     string   // what may stand only once in a file: a second piece with it waits for the next file
	Also    []string // further such keys, of a piece that has several
	Content []byte   // in the connector's own form, without anything that the file's number or day decides
}

// Numbering tells a file from every other of its target.
type Numbering struct {
	Number   int64     // counted up by one per file, without gaps, never used for other content
	Previous int64     // of the file before; 0 if there was none
	At       time.Time // when it was first built
}

// File is a built file. Its name holds nothing personal.
type File struct {
	Parts  []FilePart // brought in this order; the last one is what the receiver waits for
	Starts []int      // for each piece where it begins, in the unit in which the receiver reports (a segment, a line)
}

// FilePart is one file of those that belong together: data, then its manifest.
type FilePart struct {
	Name    string
	Content []byte
}

// Sent is a file that awaits an answer.
type Sent struct {
	Number int64
	Names  []string // of its parts
	At     time.Time
	Starts []int
	// Piece gives the piece at an index again, for a receiver that names it by key.
	Piece func(ctx context.Context, index int) (Piece, error)
}

// Answer is what the receiver said about one file. What is not refused by it is
// accepted.
type Answer struct {
	Number  int64
	ID      string    // what a repeat of it has equal
	Refused []Refusal // by piece; a whole file is refused by one with index -1
}

// Refusal is why a piece was not taken.
type Refusal struct {
	Index  int    // of the piece; -1: the file, so everybody in it, and with Others everybody again in the next one
	Reason string // short and countable, no value of a person: "bad_date"
	Path   string // where in the receiver's words: "2100/DMG02"
	Rule   string // the receiver's code: "IK403=8"
	Others bool   // refused for no fault of its own, with somebody else: it goes into the next file
}
