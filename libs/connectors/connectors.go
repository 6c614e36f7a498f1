// Package connectors is the table of every connector compiled into Muster. A
// new one is a folder beside this file and a line here; a constructor that its
// Type does not name is a capability it does not have.
package connectors

import (
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connectors/bamboohr"
	csvconn "github.com/muster-hr/muster/libs/connectors/csv"
	"github.com/muster-hr/muster/libs/connectors/edi834"
	"github.com/muster-hr/muster/libs/connectors/greenhouse"
	"github.com/muster-hr/muster/libs/connectors/gusto"
	httpconn "github.com/muster-hr/muster/libs/connectors/http"
	"github.com/muster-hr/muster/libs/connectors/ldap"
	"github.com/muster-hr/muster/libs/connectors/moodle"
	natsconn "github.com/muster-hr/muster/libs/connectors/nats"
	"github.com/muster-hr/muster/libs/connectors/okta"
	"github.com/muster-hr/muster/libs/connectors/scim"
	"github.com/muster-hr/muster/libs/connectors/typeform"
	"github.com/muster-hr/muster/libs/connectors/workday"
)

// All is by the name that a source's or target's file says after `connector:`.
var All = map[string]connector.Type{
	"bamboohr":   bamboohr.Type,   // HRIS: source and target
	"csv":        csvconn.Type,    // files over SFTP: source
	"edi834":     edi834.Type,     // benefits: X12 834 files over SFTP: target
	"greenhouse": greenhouse.Type, // ATS: source
	"gusto":      gusto.Type,      // payroll: source and target
	"http":       httpconn.Type,   // any JSON API: source and target
	"ldap":       ldap.Type,       // directory (OpenLDAP, Active Directory): target
	"moodle":     moodle.Type,     // LMS: target
	"nats":       natsconn.Type,   // a team's own stream: target
	"okta":       okta.Type,       // identity: target
	"scim":       scim.Type,       // any product that speaks SCIM 2.0: target
	"typeform":   typeform.Type,   // survey: source
	"workday":    workday.Type,    // HRIS, by a report: source
}
