//go:build chaos

package protection

import "os"

var off = Protection(os.Getenv("MUSTER_PROTECTION_OFF"))

// Off tells whether a protection is left out.
func Off(p Protection) bool { return p == off }
