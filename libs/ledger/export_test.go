package ledger

// CheckCursor parses a cursor as the lists do.
func CheckCursor(s string) error {
	_, err := parseCursor(s)
	return err
}
