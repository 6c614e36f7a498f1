// Package secret holds values that must not be seen: passwords, keys, tokens.
//
// Configuration names a secret by reference (`env:OKTA_TOKEN`,
// `file:/run/secrets/okta`); the value lives in a [Value], which prints as
// `***` whichever way it is printed.
package secret

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
)

// Value is a secret in memory. Only Reveal gives it away.
//
// It holds a pointer because fmt calls no method of a value in an unexported
// field: a text would show there, an address does not tell.
type Value struct{ v *string }

// New wraps a value that was read or generated.
func New(v string) Value { return Value{&v} }

// Reveal is the secret itself, for the one call that needs it.
func (v Value) Reveal() string {
	if v.v == nil {
		return ""
	}
	return *v.v
}

// Empty tells whether nothing was set.
func (v Value) Empty() bool { return v.Reveal() == "" }

// String is "***".
func (v Value) String() string { return "***" }

// GoString is "***", for %#v.
func (v Value) GoString() string { return "***" }

// Format is "***" for every verb.
func (v Value) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("***")) }

// MarshalText is "***", which serves JSON, YAML and XML.
func (v Value) MarshalText() ([]byte, error) { return []byte("***"), nil }

// LogValue is "***".
func (v Value) LogValue() slog.Value { return slog.StringValue("***") }

// Ref is a secret by reference: `env:NAME` or `file:PATH`.
type Ref string

// Check says what is wrong with the form of a reference, without resolving it.
func (r Ref) Check() error {
	scheme, rest, ok := strings.Cut(string(r), ":")
	switch {
	case ok && (scheme == "env" || scheme == "file") && rest != "":
		return nil
	case ok && (scheme == "vault" || scheme == "store") && rest != "":
		return fmt.Errorf("secrets by %q are not available in this version: write env:NAME or file:PATH", scheme+":")
	}
	return fmt.Errorf("a secret is written as a reference, env:NAME or file:PATH, never inline")
}

// Resolve reads the secret. A file's trailing line break is not part of it. One
// that is set to nothing is an error: an empty key would sign for everybody.
// The error names the reference, never the value.
func (r Ref) Resolve(getenv func(string) string) (Value, error) {
	if err := r.Check(); err != nil {
		return Value{}, err
	}
	scheme, rest, _ := strings.Cut(string(r), ":")
	if scheme == "env" {
		v := getenv(rest)
		if v == "" {
			return Value{}, fmt.Errorf("secret %s: the environment variable is not set", r)
		}
		return New(v), nil
	}
	b, err := os.ReadFile(rest)
	if err != nil {
		return Value{}, fmt.Errorf("secret %s: %w", r, err)
	}
	v := strings.TrimRight(string(b), "\r\n")
	if v == "" {
		return Value{}, fmt.Errorf("secret %s: the file is empty", r)
	}
	return New(v), nil
}
