package moodle

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/httpx"
)

// The web-service functions that we call.
const (
	fnLookup        = "core_user_get_users_by_field"
	fnCreate        = "core_user_create_users"
	fnUpdate        = "core_user_update_users"
	fnJoin          = "core_cohort_add_cohort_members"
	fnLeave         = "core_cohort_delete_cohort_members"
	fnSearchCohorts = "core_cohort_search_cohorts"
	fnEnrol         = "enrol_manual_enrol_users"
	fnUnenrol       = "enrol_manual_unenrol_users"
)

// endpoint is the one address of all functions.
const endpoint = "/webservice/rest/server.php"

// api calls the functions of one site.
type api struct {
	http  *httpx.Client
	token string
	gate  chan struct{} // a place per call that may be under way
}

func newAPI(a connector.Account) (*api, error) {
	c := &api{token: strings.TrimSpace(a.Secrets["token"].Reveal())}
	switch {
	case a.BaseURL == "":
		return nil, errors.New("moodle: base_url is not set: write the site's address, as in https://learn.example.com")
	case c.token == "":
		return nil, errors.New("moodle: the secret token is not set")
	}
	calls := a.Int("calls")
	if calls < 1 {
		calls = 1
	}
	c.gate = make(chan struct{}, calls)
	c.http = httpx.New(httpx.Options{BaseURL: a.BaseURL, Transport: a.Transport, Now: a.Now, Classify: classify})
	return c, nil
}

// call waits for a place, then calls.
func (c *api) call(ctx context.Context, function string, args form, into any) error {
	if err := c.enter(ctx); err != nil {
		return err
	}
	defer c.leave()
	return c.send(ctx, function, args, into)
}

// enter takes a place; only who has one may send.
func (c *api) enter(ctx context.Context) error {
	select {
	case c.gate <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ended(ctx)
	}
}

func (c *api) leave() { <-c.gate }

// send posts one call. The token stands first in the body: never in the
// address, which ends up in access logs, and never at the end, where PHP may
// cut it off. What the function returns is decoded into `into`, unless it is
// nil: functions that return nothing answer null.
func (c *api) send(ctx context.Context, function string, args form, into any) error {
	body := form{{"wstoken", c.token}, {"wsfunction", function}, {"moodlewsrestformat", "json"}}
	a, err := c.http.Do(ctx, httpx.Call{
		Method: http.MethodPost, Path: endpoint, Template: endpoint + "#" + function,
		Body: append(body, args...).encode(), ContentType: "application/x-www-form-urlencoded",
	})
	if err != nil {
		return err
	}
	if into == nil {
		return nil
	}
	return a.Decode(into)
}

// lookup finds users whose field has one of the values. Moodle leaves out those
// that the token may not see. A value that Moodle would clean is nobody's.
func (c *api) lookup(ctx context.Context, field string, values ...string) ([]user, error) {
	args := form{{"field", field}}
	for i, v := range values {
		args = append(args, pair{key("values", i), v})
	}
	var out []user
	err := c.call(ctx, fnLookup, args, &out)
	if is(err, reasonInvalid) {
		return nil, nil
	}
	return out, err
}

// check asks for the guest, whom every site has.
type check struct{ api *api }

func newCheck(a connector.Account) (connector.Check, error) {
	c, err := newAPI(a)
	return check{c}, err
}

// Check tells whether the token may look users up. Whether it may see them
// cannot be told from an answer: a user who may not be seen is left out.
func (c check) Check(ctx context.Context) error {
	_, err := c.api.lookup(ctx, "username", "guest")
	return err
}
