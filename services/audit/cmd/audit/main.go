// Command audit runs the audit service on its own.
package main

import (
	"github.com/muster-hr/muster/libs/service"
	"github.com/muster-hr/muster/services/audit"
)

func main() { service.Main(audit.Name, audit.Run) }
