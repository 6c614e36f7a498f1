// Package muster is the command line: start everything, play the demo, check a
// company's folder, look at a person's timeline.
package muster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connectors"
	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/service"
)

// Env is where a command runs.
type Env struct {
	Args   []string // without the program's name
	Getenv func(string) string
	Stdout io.Writer
	Stderr io.Writer
}

// Version is set when a release is built.
var Version = "dev"

// output is how a command answers.
type output struct {
	Env
	json  bool
	quiet bool
}

// problem is an error with its place, as `--json` prints it.
type problem struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Path    string `json:"path,omitempty"`
	Fix     string `json:"fix,omitempty"`
}

// errProblems carries every problem of a folder.
type errProblems []mapping.Problem

// Error counts them.
func (e errProblems) Error() string { return fmt.Sprintf("%d problems", len(e)) }

// Is makes them a wrong configuration, exit code 2.
func (e errProblems) Is(target error) bool { return target == service.ErrConfig }

// Run executes one command and gives the exit code: 0 done, 1 runtime, failed
// test or broken chain, 2 invalid input, 3 environment.
func Run(ctx context.Context, env Env) int {
	o := &output{Env: env}
	root := &cobra.Command{
		Use: "muster", Short: "Carries every change about a person to every system that must follow",
		SilenceErrors: true, SilenceUsage: true, Version: Version,
	}
	root.SetArgs(env.Args)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.PersistentFlags().BoolVar(&o.json, "json", false, "answer as JSON")
	root.PersistentFlags().BoolVar(&o.quiet, "quiet", false, "say nothing but the answer")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", service.ErrConfig, err) })
	root.AddCommand(o.up(), o.demo(), o.validate(), o.timeline(), o.survey(), o.version(), o.service(), o.broker(), o.prepare(), o.explain())
	root.Args, root.RunE = cobra.ArbitraryArgs, verb
	err := root.ExecuteContext(ctx)
	if err == nil || errors.Is(err, service.ErrCalledOff) {
		return service.ExitDone
	}
	o.fail(err)
	return exitCode(err)
}

func exitCode(err error) int {
	if code := service.ExitCode(err); code != service.ExitFailed {
		return code
	}
	if _, ok := errors.AsType[usage](err); ok {
		return service.ExitConfig
	}
	return service.ExitFailed
}

// usage is a command that was called wrongly.
type usage string

// Error says how it is called.
func (u usage) Error() string { return string(u) }

// verb is what a command does that has only commands below it: it shows them,
// and refuses a word that is none of them.
func verb(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	said := fmt.Sprintf("there is no command %q; `%s --help` lists them", args[0], c.CommandPath())
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		said += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return usage(said)
}

// fail prints an error where people and programs look for it.
func (o *output) fail(err error) {
	problems, listed := errors.AsType[errProblems](err)
	if o.json {
		answer := map[string]any{"ok": false, "error": problem{Code: code(err), Message: err.Error()}}
		if listed {
			all := make([]problem, len(problems))
			for i, p := range problems {
				all[i] = problem{File: p.File, Line: p.Line, Column: p.Column, Code: p.Code, Message: p.Message, Fix: p.Fix}
			}
			answer["errors"] = all
		}
		o.encode(answer)
		return
	}
	for _, p := range problems {
		_, _ = fmt.Fprintf(o.Stderr, "%s:%d:%d: %s [%s]\n", p.File, p.Line, p.Column, p.Message, p.Code) // stderr is the last resort
		if p.Fix != "" {
			_, _ = fmt.Fprintf(o.Stderr, "    %s\n", p.Fix)
		}
	}
	_, _ = fmt.Fprintf(o.Stderr, "muster: %v\n", err)
}

func code(err error) string {
	switch exitCode(err) {
	case service.ExitConfig:
		return "invalid_input"
	case service.ExitEnvironment:
		return "environment"
	}
	return "failed"
}

// done answers a command that worked: result for programs, text for people.
func (o *output) done(result any, text string) error {
	if o.json {
		o.encode(map[string]any{"ok": true, "result": result})
		return nil
	}
	_, err := fmt.Fprint(o.Stdout, text)
	return err
}

func (o *output) encode(v any) {
	e := json.NewEncoder(o.Stdout)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // nobody is left to tell
}

// load reads a company's folder.
func load(dir string) (*config.Company, error) {
	company, problems := config.Load(filepath.Clean(dir), connectors.All)
	if len(problems) > 0 {
		return nil, errProblems(problems)
	}
	return company, nil
}

func (o *output) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: maximum(0),
		RunE: func(*cobra.Command, []string) error {
			return o.done(map[string]string{"version": Version}, "muster "+Version+"\n")
		},
	}
}

func (o *output) validate() *cobra.Command {
	return &cobra.Command{
		Use: "validate [DIR]", Short: "Check a company's folder and list every problem at once",
		Args: maximum(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "deploy/acme"
			if len(args) == 1 {
				dir = args[0]
			}
			c, err := load(dir)
			if err != nil {
				return err
			}
			return o.done(map[string]any{"company": c.Name, "version": c.Version, "sources": c.SourceNames(), "targets": c.TargetNames(), "integrations": len(c.Integrations)},
				fmt.Sprintf("%s is valid: company %s, %d sources, %d targets, %d integrations, version %s\n", dir, c.Name, len(c.Sources), len(c.Targets), len(c.Integrations), c.Version))
		},
	}
}

// maximum is cobra.MaximumNArgs with exit code 2.
func maximum(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > n {
			return usage(c.UseLine() + ": too many words")
		}
		return nil
	}
}
