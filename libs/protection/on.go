//go:build !chaos

package protection

// Off is never true: this build has no switch.
func Off(Protection) bool { return false }
