// Command poller runs the poller service on its own.
package main

import (
	"github.com/muster-hr/muster/libs/service"
	"github.com/muster-hr/muster/services/poller"
)

func main() { service.Main(poller.Name, poller.Run) }
