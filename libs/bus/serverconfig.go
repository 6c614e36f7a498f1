package bus

import (
	"fmt"
	"strconv"
	"strings"
)

// ServerConfig is the configuration file of a NATS server of its own that is to
// a company what [StartServer] is: the same users with the same rights, a sync
// of the disk before every acknowledgement. storeDir is the server's own
// folder; it answers about its health on port 8222 of its own machine.
func ServerConfig(users []User, storeDir string, port int) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "# Written by muster. Users are known by the public halves of their keys.\nserver_name: muster\nport: %d\nhttp: \"127.0.0.1:8222\"\n", port)
	fmt.Fprintf(&b, "jetstream: {store_dir: %s, sync_interval: always}\nauthorization: {users: [\n", strconv.Quote(storeDir))
	for _, u := range users {
		fmt.Fprintf(&b, "  # %s\n  {nkey: %s", u.Name, u.PublicKey)
		if u.Publish != nil || u.Subscribe != nil {
			fmt.Fprintf(&b, ", permissions: {%s, %s}", allowance("publish", u.Publish), allowance("subscribe", u.Subscribe))
		}
		b.WriteString("}\n")
	}
	b.WriteString("]}\n")
	return []byte(b.String())
}

// allowance writes what permission makes: nil everything, an empty list nothing.
func allowance(what string, allow []string) string {
	switch {
	case allow == nil:
		return what + `: {allow: [">"]}`
	case len(allow) == 0:
		return what + `: {deny: [">"]}`
	}
	quoted := make([]string, len(allow))
	for i, s := range allow {
		quoted[i] = strconv.Quote(s)
	}
	return what + ": {allow: [" + strings.Join(quoted, ", ") + "]}"
}
