package console

import (
	"context"
	"errors"
	"fmt"

	"github.com/muster-hr/muster/libs/ledger"
	"github.com/muster-hr/muster/libs/service"
	"github.com/muster-hr/muster/services/console/internal/web"
)

// book is what audit wrote down, and whether it can be asked.
type book interface {
	web.Ledger
	Ping(ctx context.Context) error
	Close()
}

// openLedger opens the audit's database for reading. Without one the console
// works on, says in its readiness what is missing and has no timelines.
func openLedger(ctx context.Context, url string) (book, error) {
	if url == "" {
		return noLedger{}, nil
	}
	l, err := ledger.Open(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("%w: MUSTER_DATABASE_URL: %w", service.ErrConfig, err)
	}
	return l, nil
}

type noLedger struct{}

var errNoLedger = errors.New("MUSTER_DATABASE_URL is not set")

func (noLedger) Ping(context.Context) error { return service.NotReady(errNoLedger.Error()) }

func (noLedger) Timeline(context.Context, string, int, string) ([]ledger.Entry, string, error) {
	return nil, "", errNoLedger
}

func (noLedger) Dead(context.Context, int, string) ([]ledger.DeadLetter, string, error) {
	return nil, "", errNoLedger
}

func (noLedger) Surveys(context.Context, ledger.Which, int, string) ([]ledger.Response, string, error) {
	return nil, "", errNoLedger
}

func (noLedger) Survey(context.Context, string) (ledger.Response, error) {
	return ledger.Response{}, errNoLedger
}

func (noLedger) Close() {}
