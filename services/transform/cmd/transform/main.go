// Command transform runs the transform service on its own.
package main

import (
	"github.com/muster-hr/muster/libs/service"
	"github.com/muster-hr/muster/services/transform"
)

func main() { service.Main(transform.Name, transform.Run) }
