package ldap

import (
	"encoding/json"
	"testing"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connector/sinktest"
	"github.com/muster-hr/muster/libs/secret"
	"github.com/muster-hr/muster/libs/testkit/slapd"
)

// body is a person of the promises, as the shipped mapping would have it.
func body(p sinktest.Person) map[string]any {
	return map[string]any{"attributes": map[string]any{
		"uid": p.Email, "cn": p.Given + " " + p.Family, "givenName": p.Given, "sn": p.Family,
		"mail": p.Email, "employeeNumber": p.Number, "title": p.Title,
	}}
}

// adBody is the same for Active Directory.
func adBody(p sinktest.Person) map[string]any {
	return map[string]any{"attributes": map[string]any{
		"sAMAccountName": "zlukasikzak", "userPrincipalName": p.Email, "cn": p.Given + " " + p.Family, "givenName": p.Given, "sn": p.Family,
		"mail": p.Email, "employeeID": p.Number, "title": p.Title,
	}}
}

func promises(stand func(*testing.T, *fake.Faults, saw) *world, settings map[string]any) sinktest.Setup {
	return sinktest.Setup{
		Type: Type,
		Account: connector.Account{
			Name: "ldap", Secrets: map[string]secret.Value{"password": secret.New("hub-of-a-test")}, Settings: settings,
		},
		Stand: func(t *testing.T, faults *fake.Faults, see func(string, string, []byte)) sinktest.Stand {
			w := stand(t, faults, see)
			return sinktest.Stand{BaseURL: w.url, Dial: w.account().Dial, Settings: w.settings, State: func() (map[string]map[string]any, []fake.Write) { return w.state(t) }}
		},
		Reads: func(method, _ string, _ []byte) bool {
			return method == "SEARCH" || method == "BIND" || method == "EXTENDED"
		},
		Writes:      writing,
		Untraced:    true,
		Unthrottled: true,
		Finds:       true,
		Partial:     true,
		Body:        body,
		Also:        also,
		Gone:        isGone,
		Denied:      response("49", "80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, data 52e, v4563"),
		Invalid:     response("21", "title: value #0 invalid per syntax "+sinktest.Planted),
	}
}

func response(code, text string) fake.Response {
	b, _ := json.Marshal(text)
	return fake.Response{Headers: map[string]string{"Result": code}, Body: b}
}

func also(d connector.Delivery) []string {
	return []string{d.ID, "inetOrgPerson", "hubPerson", "top", "person", "organizationalPerson", "user", locked, "514", "512", "0"}
}

func isGone(p map[string]any) bool {
	return p == nil || p["disabled"] == true || p["pwdAccountLockedTime"] == locked || p["userAccountControl"] == "514"
}

// TestSinkKeepsThePromises against a real OpenLDAP over ldaps and with
// StartTLS, the same in the clothes of Active Directory, and the fakes.
func TestSinkKeepsThePromises(t *testing.T) {
	// One server for many promises: it is emptied before each.
	again := func(t *testing.T, o slapd.Options, scheme string) func(*testing.T, *fake.Faults, saw) *world {
		s := slapd.Start(t, o)
		return func(t *testing.T, f *fake.Faults, see saw) *world {
			s.Empty(t)
			return before(t, s, o, scheme, f, see)
		}
	}
	t.Run("OpenLDAP, ldaps", func(t *testing.T) {
		sinktest.Run(t, promises(again(t, slapd.Options{}, "ldaps"), map[string]any{"our_id_attribute": "hubId", "object_classes": []string{"inetOrgPerson", "hubPerson"}}))
	})
	t.Run("OpenLDAP, StartTLS, without our id", func(t *testing.T) {
		sinktest.Run(t, promises(again(t, slapd.Options{}, "ldap"), nil))
	})
	t.Run("OpenLDAP as Active Directory", func(t *testing.T) {
		s := promises(again(t, slapd.Options{AD: true, NoPolicy: true}, "ldaps"), map[string]any{"our_id_attribute": "hubId"})
		s.Body = adBody
		sinktest.Run(t, s)
	})
	t.Run("fake OpenLDAP", func(t *testing.T) {
		sinktest.Run(t, promises(func(t *testing.T, f *fake.Faults, see saw) *world {
			return faked(t, nil, f, see)
		}, nil))
	})
	t.Run("fake Active Directory", func(t *testing.T) {
		s := promises(func(t *testing.T, f *fake.Faults, see saw) *world {
			return faked(t, map[string]string{"dialect": "ad"}, f, see)
		}, map[string]any{"dialect": "ad", "our_id_attribute": "extensionAttribute1"})
		s.Body = adBody
		sinktest.Run(t, s)
	})
}
