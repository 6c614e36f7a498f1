package muster

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/muster-hr/muster/libs/service"
	"github.com/muster-hr/muster/services/muster/internal/up"
)

func (o *output) timeline() *cobra.Command {
	var data string
	c := &cobra.Command{
		Use: "timeline PERSON", Short: "Show everything that happened to one person: our id, or source:key",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("muster timeline PERSON: name one person, by our id or as source:key")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return o.showTimeline(cmd.Context(), data, args[0]) },
	}
	c.Flags().StringVar(&data, "data", ".muster", "data folder of the running Muster")
	return c
}

type entry struct {
	At      string   `json:"at"`
	Kind    string   `json:"kind"`
	Type    string   `json:"type"`
	Source  string   `json:"source"`
	Target  string   `json:"target"`
	Fields  []string `json:"fields"`
	Outcome string   `json:"outcome"`
	TraceID string   `json:"trace_id"`
}

func (o *output) showTimeline(ctx context.Context, data, person string) error {
	api, err := o.api(data)
	if err != nil {
		return err
	}
	id := person
	if strings.Contains(person, ":") {
		var found struct {
			Items []struct {
				ID string `json:"id"`
			} `json:"items"`
		}
		if err := api.get(ctx, "/employees?external="+url.QueryEscape(person), &found); err != nil {
			return err
		}
		if len(found.Items) == 0 {
			return fmt.Errorf("nobody is known as %s", person)
		}
		id = found.Items[0].ID
	}
	var page struct {
		Items []json.RawMessage `json:"items"`
		Next  *string           `json:"next"`
	}
	all := []json.RawMessage{}
	for after := ""; ; after = *page.Next {
		page.Next = nil
		if err := api.get(ctx, "/employees/"+url.PathEscape(id)+"/timeline?limit=500&after="+url.QueryEscape(after), &page); err != nil {
			return err
		}
		all = append(all, page.Items...)
		if page.Next == nil {
			break
		}
	}
	var b strings.Builder
	for _, raw := range all {
		var e entry
		if err := json.Unmarshal(raw, &e); err != nil {
			return err
		}
		who := e.Source
		if e.Target != "" {
			who = e.Target
		}
		fmt.Fprintf(&b, "%s  %-8s  %-10s  %-12s  %s %s\n", e.At, e.Kind, who, e.Outcome, strings.TrimSuffix(e.Type, ".v1"), strings.Join(e.Fields, " "))
	}
	return o.done(all, b.String())
}

// api is the console of a running Muster.
type api struct{ base, token string }

// api finds it by MUSTER_CONSOLE_URL and MUSTER_API_TOKEN, else by the data folder.
func (o *output) api(data string) (api, error) {
	if u := o.Getenv("MUSTER_CONSOLE_URL"); u != "" {
		if !private(u) {
			return api{}, fmt.Errorf("%w: MUSTER_CONSOLE_URL: the token is sent there: write https, or http to this machine (127.0.0.1, through a tunnel)", service.ErrConfig)
		}
		e := service.NewEnv(o.Getenv)
		return api{strings.TrimRight(u, "/"), e.Token("MUSTER_API_TOKEN").Reveal()}, e.Err()
	}
	a, err := up.ReadAddresses(data)
	return api{a.Console, a.APIToken}, err
}

// private tells whether nobody on the way to an address hears what is said.
func private(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	here := u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
	return u.Scheme == "https" || u.Scheme == "http" && here
}

// client goes nowhere else with the token: the console never sends anybody on.
var client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func (a api) get(ctx context.Context, path string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base+"/api/v1"+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("%w: the console does not answer: %w", service.ErrEnvironment, err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		var said struct {
			Error struct {
				Message string `json:"message"`
			} `json:"error"`
		}
		if json.Unmarshal(b, &said) == nil && said.Error.Message != "" {
			return fmt.Errorf("%s", said.Error.Message)
		}
		return fmt.Errorf("the console answered %d", resp.StatusCode)
	}
	return json.Unmarshal(b, v)
}
