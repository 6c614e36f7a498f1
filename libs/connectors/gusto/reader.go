package gusto

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/muster-hr/muster/libs/connector"
)

// reader reads an employee back after an event.
type reader struct{ *client }

func newReader(a connector.Account) (connector.Reader, error) {
	c, err := newClient(a)
	return reader{c}, err
}

// Read gives the employee as Gusto sent him, with all his compensations.
func (r reader) Read(ctx context.Context, key string) (connector.Record, error) {
	rec := connector.Record{
		Kind: connector.KindRecord, Key: key,
		Version: connector.Version{Scale: connector.ScaleRead, Value: r.now().UTC().Format(time.RFC3339Nano)},
	}
	if !uuidForm.MatchString(key) {
		rec.Deleted = true
		return rec, nil
	}
	var body json.RawMessage
	err := r.do(ctx, call{method: http.MethodGet, template: "/v1/employees/{id}", id: key, query: url.Values{"include": {"all_compensations"}}}, &body)
	if is(err, reasonMissing) {
		rec.Deleted = true
		return rec, nil
	}
	rec.Body = body
	return rec, err
}
