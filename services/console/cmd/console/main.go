// Command console shows people, timelines, traces and dead letters.
package main

import (
	"github.com/muster-hr/muster/libs/service"
	"github.com/muster-hr/muster/services/console"
)

func main() { service.Main(console.Name, console.Run) }
