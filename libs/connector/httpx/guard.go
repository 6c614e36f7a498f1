package httpx

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/muster-hr/muster/libs/fault"
)

// guard keeps a configured address, or a name that somebody else controls,
// from leading a call into our own network.
type guard struct {
	loopback bool                // the base URL names a loopback host
	literal  netip.Addr          // the base URL is written with this address
	private  map[string]struct{} // hosts, with or without port, that may be private
	networks []netip.Prefix      // networks that may be dialled
	sandbox  string              // HOST:PORT of the sandbox, which speaks plain http also from another machine; "" for none
}

func newGuard(base string, allow []string) *guard {
	g := &guard{private: make(map[string]struct{}, len(allow))}
	for _, h := range allow {
		if p, err := netip.ParsePrefix(h); err == nil {
			g.networks = append(g.networks, p.Masked())
			continue
		}
		g.private[strings.ToLower(h)] = struct{}{}
	}
	if u, err := url.Parse(base); err == nil {
		g.loopback = isLoopbackHost(u.Hostname())
		g.literal, _ = netip.ParseAddr(u.Hostname())
	}
	return g
}

// scheme lets https pass, and http to a loopback host or to the sandbox.
func (g *guard) scheme(u *url.URL) error {
	if u.Scheme == "https" || u.Scheme == "http" && (isLoopbackHost(u.Hostname()) || g.sandbox != "" && u.Host == g.sandbox) {
		return nil
	}
	return fault.New(fault.Target, "plain_http", "plain http is for loopback hosts only: write https")
}

// address judges what the name host resolved to.
func (g *guard) address(host, address string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fault.New(fault.Target, "address_refused", "the address to dial cannot be read")
	}
	ip := ap.Addr().Unmap().WithZone("")
	named := g.named(host, ip, ap.Port())
	switch {
	case ip.IsLoopback():
		if g.loopback && isLoopbackHost(host) {
			return nil
		}
	case isLoopbackHost(host):
		// "localhost" that resolves elsewhere: plain http would leave the machine.
	case ip.IsUnspecified() || ip.IsMulticast():
	case isLinkLocal(ip):
		if named {
			return nil
		}
	case isPrivate(ip):
		if named || ip == g.literal.Unmap() {
			return nil
		}
	default:
		return nil
	}
	return fault.New(fault.Target, "address_refused",
		"the host resolves to an address inside our own network; if that is meant, name the host under allow_private")
}

// named tells whether the account's file lets this host or address be private.
func (g *guard) named(host string, ip netip.Addr, port uint16) bool {
	for _, name := range []string{strings.ToLower(host), ip.String()} {
		if _, ok := g.private[name]; ok {
			return true
		}
		if _, ok := g.private[net.JoinHostPort(name, strconv.Itoa(int(port)))]; ok {
			return true
		}
	}
	return slices.ContainsFunc(g.networks, func(p netip.Prefix) bool { return p.Contains(ip) })
}

func isLoopbackHost(host string) bool {
	host = strings.ToLower(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761 section 6.3
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// isLinkLocal covers the metadata services of the clouds: 169.254.169.254,
// 169.254.170.2, and AWS's fd00:ec2::254.
func isLinkLocal(ip netip.Addr) bool {
	return ip.IsLinkLocalUnicast() || ip == netip.MustParseAddr("fd00:ec2::254")
}

// Ranges beside RFC 1918 and RFC 4193 that lead to no public vendor: "this
// network", shared addresses of carriers (RFC 6598, also Alibaba's metadata
// service), IETF protocol assignments, benchmarks, reserved; and NAT64, 6to4
// and IPv4-compatible addresses, which can carry any of them inside.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"),
	netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2002::/16"),
}

func isPrivate(ip netip.Addr) bool {
	if ip.IsPrivate() {
		return true
	}
	for _, p := range notPublic {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}
