// Command ingress runs the ingress service on its own.
package main

import (
	"github.com/muster-hr/muster/libs/service"
	"github.com/muster-hr/muster/services/ingress"
)

func main() { service.Main(ingress.Name, ingress.Run) }
