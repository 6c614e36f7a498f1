package service

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/secret"
)

// Env reads settings from the environment, each with its default beside its
// name, and collects every problem so that they are told at once.
//
//	e := service.NewEnv(getenv)
//	cfg := config{
//		Listen: e.String("MUSTER_INGRESS_ADDR", "127.0.0.1:0"),
//		Every:  e.Duration("MUSTER_POLL_EVERY", time.Minute),
//	}
//	return cfg, e.Err()
type Env struct {
	getenv   func(string) string
	problems []error
}

// NewEnv reads with getenv; nil has nothing set.
func NewEnv(getenv func(string) string) *Env {
	if getenv == nil {
		getenv = func(string) string { return "" }
	}
	return &Env{getenv: getenv}
}

// String is a text. With words, only those are allowed.
func (e *Env) String(name, def string, words ...string) string {
	v := e.getenv(name)
	if v == "" {
		return def
	}
	if len(words) > 0 && !slices.Contains(words, v) {
		e.problem(name, "want "+strings.Join(words, ", "))
		return def
	}
	return v
}

// Required is a text that must be set; what says what to write.
func (e *Env) Required(name, what string) string {
	v := e.getenv(name)
	if v == "" {
		e.problem(name, "is not set: "+what)
	}
	return v
}

// Secret resolves a reference, `env:NAME` or `file:PATH`. Unset is empty.
func (e *Env) Secret(name string) secret.Value {
	ref := secret.Ref(e.getenv(name))
	if ref == "" {
		return secret.Value{}
	}
	if ref.Check() != nil { // the text may be the secret itself: do not repeat it
		e.problem(name, "a secret is written as a reference, env:NAME or file:PATH")
		return secret.Value{}
	}
	v, err := ref.Resolve(e.getenv)
	if err != nil {
		e.problem(name, err.Error())
	}
	return v
}

// Token is a token of our own API: by reference, or the token itself, because
// clients carry the same variable with the value in it. Unset is empty.
func (e *Env) Token(name string) secret.Value {
	v := e.getenv(name)
	if strings.HasPrefix(v, "env:") || strings.HasPrefix(v, "file:") {
		return e.Secret(name)
	}
	return secret.New(v)
}

// Duration is a length of time, `90s` or `1h30m`, not negative.
func (e *Env) Duration(name string, def time.Duration) time.Duration {
	return read(e, name, def, "want a duration like 90s or 1h30m", func(v string) (time.Duration, bool) {
		d, err := time.ParseDuration(v)
		return d, err == nil && d >= 0
	})
}

// Int is a whole number.
func (e *Env) Int(name string, def int) int {
	return read(e, name, def, "want a whole number", func(v string) (int, bool) {
		n, err := strconv.Atoi(v)
		return n, err == nil
	})
}

// Bool is a switch: true, false, on, off, 1, 0.
func (e *Env) Bool(name string, def bool) bool {
	return read(e, name, def, "want true or false", func(v string) (bool, bool) {
		switch strings.ToLower(v) {
		case "true", "on", "1", "yes":
			return true, true
		case "false", "off", "0", "no":
			return false, true
		}
		return false, false
	})
}

// Err is every problem met, as one error of the kind [ErrConfig]; nil if none.
func (e *Env) Err() error {
	if len(e.problems) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrConfig, errors.Join(e.problems...))
}

func (e *Env) problem(name, what string) {
	e.problems = append(e.problems, fmt.Errorf("%s: %s", name, what))
}

func read[T any](e *Env, name string, def T, want string, parse func(string) (T, bool)) T {
	v := e.getenv(name)
	if v == "" {
		return def
	}
	t, ok := parse(v)
	if !ok {
		e.problem(name, want)
		return def
	}
	return t
}
