// Command delivery runs the delivery service for the target MUSTER_TARGET.
package main

import (
	"os"

	"github.com/muster-hr/muster/libs/service"
	"github.com/muster-hr/muster/services/delivery"
)

func main() { service.Main(delivery.Name(os.Getenv("MUSTER_TARGET")), delivery.Run) }
