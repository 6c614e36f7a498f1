package web

import (
	"context"

	"github.com/muster-hr/muster/libs/ledger"
)

// Ledger is what the audit service wrote down; [ledger.Ledger] is one. Lists
// come in pages: after is the next of the page before, "" for the first.
type Ledger interface {
	// Timeline is what happened about one employee, oldest first.
	Timeline(ctx context.Context, employee string, limit int, after string) (lines []ledger.Entry, next string, err error)
	// Dead lists the open dead letters, newest first.
	Dead(ctx context.Context, limit int, after string) (letters []ledger.DeadLetter, next string, err error)
	// Surveys lists the responses to surveys that fit, newest first.
	Surveys(ctx context.Context, which ledger.Which, limit int, after string) (responses []ledger.Response, next string, err error)
	// Survey is one response; [ledger.ErrNotFound] if there is none.
	Survey(ctx context.Context, id string) (ledger.Response, error)
}
