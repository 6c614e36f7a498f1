package employee

// The words of employment.status.
const (
	PreHire    = "pre_hire"
	Active     = "active"
	OnLeave    = "leave"
	Terminated = "terminated"
	Withdrawn  = "withdrawn"
)

// Happened is the verb of the event that a change of status makes, as
// canonical.md lists them: `hired`, `terminated`, … and `updated` otherwise.
// An employee without a status before is "".
func Happened(before, after string) string {
	working := after == Active || after == OnLeave
	switch {
	case (before == "" || before == Withdrawn) && after == PreHire:
		return "preboarded"
	case (before == "" || before == PreHire || before == Withdrawn) && working:
		return "hired"
	case before == Terminated && (after == PreHire || working):
		return "rehired"
	case before == Active && after == OnLeave:
		return "leave_started"
	case before == OnLeave && after == Active:
		return "leave_ended"
	case before != Terminated && after == Terminated:
		return "terminated"
	case before == PreHire && after == Withdrawn:
		return "withdrawn"
	}
	return "updated"
}
