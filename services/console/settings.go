package console

import (
	"fmt"

	"github.com/muster-hr/muster/libs/service"
	"github.com/muster-hr/muster/services/console/internal/fleet"
	"github.com/muster-hr/muster/services/console/internal/web"
)

type settings struct {
	databaseURL string
	tokens      []web.Token
	services    map[string]string // MUSTER_SERVICES: name → base URL; empty: the host says
	keepTraces  int
	keepSpans   int
}

func loadSettings(getenv func(string) string) (settings, error) {
	e := service.NewEnv(getenv)
	cfg := settings{
		databaseURL: e.String("MUSTER_DATABASE_URL", ""),
		keepTraces:  e.Int("MUSTER_CONSOLE_TRACES", 20_000),
		keepSpans:   e.Int("MUSTER_CONSOLE_SPANS", 200_000),
	}
	for _, t := range []struct{ actor, name string }{{"api", "MUSTER_API_TOKEN"}, {"approver", "MUSTER_APPROVER_TOKEN"}} {
		if v := e.Token(t.name); !v.Empty() {
			cfg.tokens = append(cfg.tokens, web.Token{Actor: t.actor, Value: v})
		}
	}
	services, err := fleet.Parse(getenv("MUSTER_SERVICES"))
	if err != nil {
		return cfg, fmt.Errorf("%w: MUSTER_SERVICES: %w", service.ErrConfig, err)
	}
	cfg.services = services
	return cfg, e.Err()
}
