package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/secret"
)

// Token is who may use the API. In this version every token has every right;
// the actor tells two people apart where a second one must agree.
type Token struct {
	Actor string
	Value secret.Value
}

// guard knows the tokens.
type guard struct {
	tokens []Token
	key    []byte // signs session cookies; of this process, a restart logs out
	now    func() time.Time
}

// cookie holds a session of the pages: `<actor>.<unix end>.<hmac>`.
const (
	cookie        = "muster_session"
	sessionLength = 12 * time.Hour
)

// who is the actor of a token; "" if it is none of ours. The time it takes
// does not depend on how much of a token is right.
func (g *guard) who(presented string) string {
	got := sha256.Sum256([]byte(presented))
	actor := ""
	for _, t := range g.tokens {
		want := sha256.Sum256([]byte(t.Value.Reveal()))
		if subtle.ConstantTimeCompare(got[:], want[:]) == 1 && !t.Value.Empty() {
			actor = t.Actor
		}
	}
	return actor
}

// bearer is the actor of a request to the API; "" if it has no valid token.
func (g *guard) bearer(r *http.Request) string {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return g.who(strings.TrimSpace(token))
}

// session is the actor of a request to a page, by cookie.
func (g *guard) session(r *http.Request) string {
	c, err := r.Cookie(cookie)
	if err != nil {
		return ""
	}
	actor, rest, _ := strings.Cut(c.Value, ".")
	end, mac, _ := strings.Cut(rest, ".")
	if subtle.ConstantTimeCompare([]byte(mac), []byte(g.mac(actor, end))) != 1 {
		return ""
	}
	if unix, err := strconv.ParseInt(end, 10, 64); err != nil || g.now().After(time.Unix(unix, 0)) {
		return ""
	}
	return actor
}

func (g *guard) begin(w http.ResponseWriter, r *http.Request, actor string) {
	end := g.now().Add(sessionLength)
	unix := strconv.FormatInt(end.Unix(), 10)
	http.SetCookie(w, &http.Cookie{
		Name: cookie, Value: actor + "." + unix + "." + g.mac(actor, unix), Path: "/", Expires: end,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	})
}

func (g *guard) mac(actor, end string) string {
	h := hmac.New(sha256.New, g.key)
	h.Write([]byte(actor + "\x00" + end))
	return hex.EncodeToString(h.Sum(nil))
}

// atThisMachine tells whether a browser on this machine asked for this machine
// by a loopback name. The name matters: another site's name may be made to
// lead here.
func atThisMachine(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() || r.Header.Get("X-Forwarded-For") != "" {
		return false
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && a.IsLoopback()
}
