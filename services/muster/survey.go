package muster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

func (o *output) survey() *cobra.Command {
	var data string
	var which struct{ survey, status, employee string }
	var show bool
	c := &cobra.Command{Use: "survey", Short: "Look at responses to surveys and whose they are", RunE: verb}
	c.PersistentFlags().StringVar(&data, "data", ".muster", "data folder of the running Muster")
	c.PersistentFlags().BoolVar(&show, "show", false, "show what was answered")
	ls := &cobra.Command{
		Use: "ls", Short: "List responses, the newest first", Args: maximum(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{}
			for name, v := range map[string]string{"survey": which.survey, "status": which.status, "employee": which.employee} {
				if v != "" {
					q.Set(name, v)
				}
			}
			return o.listSurveys(cmd.Context(), data, q, show)
		},
	}
	ls.Flags().StringVar(&which.survey, "survey", "", "only of this survey, by the vendor's id")
	ls.Flags().StringVar(&which.status, "status", "", "only linked, unlinked or anonymous ones")
	ls.Flags().StringVar(&which.employee, "employee", "", "only of this person, by our id")
	one := &cobra.Command{
		Use: "show RESPONSE", Short: "Show one response, by its id in the list",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("muster survey show RESPONSE: name one response, by its id in the list")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return o.showSurvey(cmd.Context(), data, args[0], show) },
	}
	c.AddCommand(ls, one)
	return c
}

// response is what is printed of one; the answer of the API is passed on whole.
type response struct {
	ID          string `json:"id"`
	Survey      string `json:"survey"`
	Status      string `json:"status"`
	Employee    string `json:"employee"`
	LinkedBy    string `json:"linked_by"`
	SubmittedAt string `json:"submitted_at"`
	Answers     []struct {
		Question string          `json:"question"`
		Kind     string          `json:"kind"`
		Value    json.RawMessage `json:"value"`
	} `json:"answers"`
}

func (r response) line() string {
	return fmt.Sprintf("%s  %-26s  %-12s  %-9s  %-26s  %s\n", r.SubmittedAt, r.ID, r.Survey, r.Status, r.Employee, r.LinkedBy)
}

func (o *output) listSurveys(ctx context.Context, data string, q url.Values, show bool) error {
	api, err := o.api(data)
	if err != nil {
		return err
	}
	if show {
		q.Set("show", "1")
	}
	q.Set("limit", "500")
	all, text := []json.RawMessage{}, strings.Builder{}
	for after := ""; ; {
		var page struct {
			Items []json.RawMessage `json:"items"`
			Next  *string           `json:"next"`
		}
		q.Set("after", after)
		if err := api.get(ctx, "/surveys?"+q.Encode(), &page); err != nil {
			return err
		}
		for _, raw := range page.Items {
			var r response
			if err := json.Unmarshal(raw, &r); err != nil {
				return err
			}
			text.WriteString(r.line())
		}
		all = append(all, page.Items...)
		if page.Next == nil {
			return o.done(all, text.String())
		}
		after = *page.Next
	}
}

func (o *output) showSurvey(ctx context.Context, data, id string, show bool) error {
	api, err := o.api(data)
	if err != nil {
		return err
	}
	path := "/surveys/" + url.PathEscape(id)
	if show {
		path += "?show=1"
	}
	var raw json.RawMessage
	if err := api.get(ctx, path, &raw); err != nil {
		return err
	}
	var r response
	if err := json.Unmarshal(raw, &r); err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString(r.line())
	for _, a := range r.Answers {
		fmt.Fprintf(&b, "  %-20s  %-8s  %s\n", a.Question, a.Kind, a.Value)
	}
	return o.done(raw, b.String())
}
