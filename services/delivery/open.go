package delivery

import (
	"fmt"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/httpx"
	"github.com/muster-hr/muster/libs/service"
)

// open builds a target's sink, or what takes its files, with its own connections,
// spans and dial guard.
func open(svc *service.Service, to *config.Target) (sink connector.Sink, files connector.Files, err error) {
	if to.Type.Sink == nil && to.Type.Files == nil {
		return nil, nil, fmt.Errorf("the connector %s cannot be written to", to.Connector)
	}
	account, err := svc.Company.Account(&to.Account, config.ForAPI, svc.Getenv)
	if err != nil {
		return nil, nil, err
	}
	account.Now, account.Log = svc.Clock.Now, svc.Log
	account.Transport = httpx.Transport(httpx.TransportOptions{
		BaseURL: to.BaseURL, InFlight: to.Limits.InFlight, AllowPrivate: to.AllowPrivate, Sandbox: to.SandboxHost, Timeout: to.Limits.Timeout, Tracer: svc.Telemetry.TracerProvider,
	})
	account.Dial = httpx.Dial(to.BaseURL, to.AllowPrivate)
	account.Team = team{svc.Bus}
	if to.Type.Files != nil {
		files, err = to.Type.Files(account)
	} else {
		sink, err = to.Type.Sink(account)
	}
	return sink, files, err
}
