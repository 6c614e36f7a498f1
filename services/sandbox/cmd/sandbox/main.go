// Command sandbox runs the faked vendors on their own.
package main

import (
	"github.com/muster-hr/muster/libs/service"
	"github.com/muster-hr/muster/services/sandbox"
)

func main() { service.Main(sandbox.Name, sandbox.Run) }
