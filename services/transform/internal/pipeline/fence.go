package pipeline

import "github.com/muster-hr/muster/libs/protection"

// expect is the sequence that the last message of the subject must have, nil
// for a subject that nobody else writes: the fence against a second transform.
func (s *staged) expect() *uint64 {
	if s.rev == nil || protection.Off(protection.CompareAndSet) {
		return nil
	}
	return &s.rev.seq
}
