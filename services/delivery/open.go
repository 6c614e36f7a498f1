package delivery

import (
	"fmt"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/httpx"
	"github.com/muster-hr/muster/libs/service"
)

// open builds a target's sink with its own connections, spans and dial guard.
func open(svc *service.Service, to *config.Target) (connector.Sink, error) {
	if to.Type.Sink == nil {
		return nil, fmt.Errorf("the connector %s cannot be written to", to.Connector)
	}
	account, err := svc.Company.Account(&to.Account, config.ForAPI, svc.Getenv)
	if err != nil {
		return nil, err
	}
	account.Now, account.Log = svc.Clock.Now, svc.Log
	account.Transport = httpx.Transport(httpx.TransportOptions{
		BaseURL: to.BaseURL, InFlight: to.Limits.InFlight, AllowPrivate: to.AllowPrivate, Timeout: to.Limits.Timeout, Tracer: svc.Telemetry.TracerProvider,
	})
	account.Dial = httpx.Dial(to.BaseURL, to.AllowPrivate)
	account.Team = team{svc.Bus}
	return to.Type.Sink(account)
}
