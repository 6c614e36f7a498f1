package employee

// ManagerPattern is the leaf that names another person.
const ManagerPattern = "positions[].manager"

// awaits is the only member of a manager's value in a state as long as nobody
// is known by the name that a source gave.
const awaits = "awaits"

// Awaited is what stands in a state in place of a manager's id until the
// manager is known: a token of the name that a source gave, an HMAC. A state
// names other people only by our id.
func Awaited(token string) map[string]any { return map[string]any{awaits: token} }

// AwaitedBy is the token of a manager who is not known yet; "" for every other
// leaf and value.
func AwaitedBy(leaf string, value any) string {
	named, ok := value.(map[string]any)
	if !ok || len(named) != 1 || Pattern(leaf) != ManagerPattern {
		return ""
	}
	token, _ := named[awaits].(string)
	return token
}
