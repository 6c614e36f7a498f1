// Package protection names the four protections without which a crash or a
// second writer would lose, repeat or reorder a change. The kill run proves
// that each is needed: built with the tag `chaos` a program leaves out the one
// that MUSTER_PROTECTION_OFF names, and the run must fail. Without the tag
// there is no such switch.
package protection

// Protection is one of them.
type Protection string

// The protections, with what they hold.
const (
	LaneReset      Protection = "lane-reset"      // a feed begins at the acknowledgement floor, so that old messages never come after newer ones
	CompareAndSet  Protection = "compare-and-set" // a message of PEOPLE names the sequence it stands on, which fences a second transform
	Intent         Protection = "intent"          // a call that is not safe to repeat is noted before it is made, and looked for after a crash
	StatementOrder Protection = "statement-order" // an older version of a record never wins over a newer one
)
