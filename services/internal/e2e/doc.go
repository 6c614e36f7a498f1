// Package e2e builds the real programs, runs them, kills them, and counts
// effects where they count: in the faked vendors, in Postgres, on the bus.
package e2e
