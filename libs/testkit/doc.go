// Package testkit starts for a test what the services need around them: a real
// broker with a company's streams, a real Postgres. Everything is stopped and
// removed when the test ends.
package testkit
