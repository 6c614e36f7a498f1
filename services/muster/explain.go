package muster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/explain"
)

// explaining is what `muster explain` was asked.
type explaining struct {
	source, target, headers, method, url, clock, before string
	secrets                                             []string
	poll                                                bool
}

func (o *output) explain() *cobra.Command {
	var e explaining
	c := &cobra.Command{
		Use:   "explain DIR FILE (--source S | --target T)",
		Short: "Tell what would become of a vendor's message, or what would be sent for an employee; starts nothing",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 || (e.source == "") == (e.target == "") {
				return usage("muster explain DIR FILE --source S, or muster explain DIR EMPLOYEE.json --target T: name the company's folder, one file, and one of the two")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			company, err := load(args[0])
			if err != nil {
				return err
			}
			err = o.explained(cmd.Context(), company, args[1], e)
			if errors.Is(err, explain.ErrInput) {
				return usage(err.Error())
			}
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&e.source, "source", "", "the source that FILE came from: the raw body of a webhook")
	f.StringVar(&e.headers, "headers", "", "file with the call's headers: one `Name: value` per line, or a JSON object")
	f.StringVar(&e.method, "method", "", "the call's method (default POST)")
	f.StringVar(&e.url, "url", "", "the call's path and query (default /webhooks/S)")
	f.StringArrayVar(&e.secrets, "secret", nil, "NAME=VALUE instead of a secret's reference, e.g. webhook=VALUE; may be repeated")
	f.BoolVar(&e.poll, "poll", false, "FILE is a polled answer")
	f.StringVar(&e.target, "target", "", "the target that FILE, a canonical employee, would be sent to")
	f.StringVar(&e.before, "before", "", `file with what was sent before: {"employee": {…}, "refs": {…}}`)
	f.StringVar(&e.clock, "clock", "", "stands for now, as in 2026-01-31T09:00:00Z")
	return c
}

func (o *output) explained(ctx context.Context, company *config.Company, file string, e explaining) error {
	now := time.Now().UTC()
	if e.clock != "" {
		var err error
		if now, err = time.Parse(time.RFC3339, e.clock); err != nil {
			return fmt.Errorf("%w: --clock is not a time as in 2026-01-31T09:00:00Z", explain.ErrInput)
		}
	}
	body, err := input(file)
	if err != nil {
		return err
	}
	if e.target != "" {
		return o.explainTarget(ctx, company, body, e, now)
	}
	call := explain.Call{Method: e.method, URL: e.url, Body: body, Poll: e.poll, Now: now, Getenv: o.Getenv, Secrets: map[string]string{}}
	for _, s := range e.secrets {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			return fmt.Errorf("%w: --secret is written NAME=VALUE", explain.ErrInput) // not repeated: it may be the secret
		}
		call.Secrets[name] = value
	}
	if e.headers != "" {
		b, err := input(e.headers)
		if err != nil {
			return err
		}
		if call.Header, err = explain.ReadHeaders(b); err != nil {
			return err
		}
	}
	got, err := explain.Source(ctx, company, e.source, call)
	if err != nil {
		return err
	}
	return o.done(got, received(got))
}

func (o *output) explainTarget(ctx context.Context, company *config.Company, body []byte, e explaining, now time.Time) error {
	who, err := explain.ReadEmployee(body)
	if err != nil {
		return err
	}
	want := explain.Want{Employee: who, Now: now, Getenv: o.Getenv}
	if e.before != "" {
		b, err := input(e.before)
		if err != nil {
			return err
		}
		if want.Before, err = explain.ReadBefore(b); err != nil {
			return err
		}
	}
	got, err := explain.Target(ctx, company, e.target, want)
	if err != nil {
		return err
	}
	return o.done(got, sent(got))
}

// input reads a file that was named; "-" is standard input.
func input(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(os.Stdin)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", explain.ErrInput, err)
	}
	return b, nil
}

// received tells people what the JSON tells programs, without values.
func received(r explain.Received) string {
	var b strings.Builder
	if !r.Verified {
		fmt.Fprintf(&b, "refused: not authentic (%s), answered %d\n", r.Reason, r.Respond.Status)
	} else if r.Respond.Status != 0 {
		fmt.Fprintf(&b, "taken, answered %d\n", r.Respond.Status)
	}
	for _, rec := range r.Records {
		fmt.Fprintf(&b, "%s of key %s %s %s\n", rec.Kind, rec.Key, rec.Event, strings.Join(rec.Flags, " "))
		for _, s := range rec.Stages {
			fmt.Fprintf(&b, "  %-10s %-9s %s %s\n", s.Stage, s.Outcome, s.Rule, s.Path)
		}
	}
	return b.String()
}

func sent(s explain.Sent) string {
	var b strings.Builder
	for _, r := range s.Requests {
		fmt.Fprintf(&b, "%s %s\n", r.Method, r.URL)
	}
	fmt.Fprintf(&b, "withheld: %s\nflags: %s\n", strings.Join(s.Withheld, ", "), strings.Join(s.Flags, ", "))
	return b.String()
}
