package pipeline

import (
	"slices"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/protection"
)

// seenLimit bounds how many unversioned records of one key are remembered. A
// vendor's retries end within days; a key does not get that many in a lifetime.
const seenLimit = 64

// arrival tells how a record stands to what its source said last.
type arrival int

const (
	newer arrival = iota
	late          // an older version: said before, arrived after
	again         // the same record once more
)

// order compares a record with the statement of its key. Only versions of
// equal scale compare; without a version, and for what a vendor did at the same
// instant, the record's own id decides whether it was taken before.
func order(st *statement, v connector.Version, id string) arrival {
	if st == nil || protection.Off(protection.StatementOrder) {
		return newer
	}
	if v.Scale == "" {
		if slices.Contains(st.seen, short(id)) {
			return again
		}
		return newer
	}
	if st.version.Scale != v.Scale {
		return newer
	}
	switch c := compare(v, st.version); {
	case c < 0:
		return late
	case c == 0 && (v.Scale == connector.ScaleSequence || short(id) == st.event || slices.Contains(st.seen, short(id))):
		return again
	}
	return newer
}

// compare orders two versions of one scale. Sequences compare as numbers of
// any length, times as instants.
func compare(a, b connector.Version) int {
	if a.Scale == connector.ScaleSequence {
		x, y := strings.TrimLeft(a.Value, "0"), strings.TrimLeft(b.Value, "0")
		if len(x) != len(y) {
			return len(x) - len(y)
		}
		return strings.Compare(x, y)
	}
	x, errX := time.Parse(time.RFC3339Nano, a.Value)
	y, errY := time.Parse(time.RFC3339Nano, b.Value)
	if errX != nil || errY != nil {
		return strings.Compare(a.Value, b.Value)
	}
	return x.Compare(y)
}

// kept is a version that does not hold the message it stood in.
func kept(v connector.Version) connector.Version {
	out := connector.Version{Value: strings.Clone(v.Value)}
	switch v.Scale {
	case connector.ScaleSequence:
		out.Scale = connector.ScaleSequence
	case connector.ScaleTime:
		out.Scale = connector.ScaleTime
	case connector.ScaleRead:
		out.Scale = connector.ScaleRead
	default:
		out.Scale = connector.Scale(strings.Clone(string(v.Scale)))
	}
	return out
}

// mark is what is kept of a record's id: enough to tell 64 apart.
type mark [12]byte

func short(id string) (m mark) {
	copy(m[:], id)
	return m
}

func (m mark) String() string { return strings.TrimRight(string(m[:]), "\x00") }

// marks and marked change between the index and a statement.
func marks(seen []string) []mark {
	if len(seen) == 0 {
		return nil
	}
	out := make([]mark, len(seen))
	for i, id := range seen {
		out[i] = short(id)
	}
	return out
}

func marked(seen []mark) []string {
	if len(seen) == 0 {
		return nil
	}
	out := make([]string, len(seen))
	for i, m := range seen {
		out[i] = m.String()
	}
	return out
}

// remember gives what was seen with one more, the oldest of too many left out.
func remember(seen []mark, m mark) []mark {
	if slices.Contains(seen, m) {
		return seen
	}
	older := seen[max(0, len(seen)+1-seenLimit):]
	out := make([]mark, 0, len(older)+1)
	return append(append(out, older...), m)
}
