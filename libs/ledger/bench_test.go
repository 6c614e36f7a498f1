package ledger_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/muster-hr/muster/libs/ledger"
	"github.com/muster-hr/muster/libs/topology"
)

// rows are n of one stream as a company under load has them: received records,
// or deliveries that have come to their end.
func rows(stream string, n int) []ledger.Record {
	rs := make([]ledger.Record, n)
	for i := range rs {
		person := fmt.Sprintf("e5w2mnbd4x6yk7q3zja9c%05d", i*7919%100_000)
		r := change(stream, uint64(i+1), nil)
		r.ID, r.TraceID, r.Config = "v8ehtk7q3zj5w2mnbd4x6"+person[21:], fmt.Sprintf("0af7651916cd43dd8448eb21%08x", i*2654435761%(1<<32)), "c1f0e2d3"
		switch stream {
		case topology.Raw:
			r.Kind, r.Type, r.Subject, r.Employee, r.Fields = ledger.KindOther, "hr.record.received.v1", topology.RawRecord("bamboohr", person), "", nil
			r.Source, r.KeyToken, r.Event = "bamboohr", person, "employee.updated"
			r.Detail = []byte(`{"source":"bamboohr","event":"employee.updated","version":{"scale":"time","value":"2026-03-01T09:00:00Z"},"accepted_at":"2026-03-01T09:00:00.023456789Z"}`)
		case topology.Delivered:
			r.Kind, r.Type, r.Subject, r.Employee = ledger.KindDelivery, "hr.delivery.completed.v1", topology.DeliveredTo("okta", person), person
			r.Event, r.Change, r.Target, r.Integration, r.Version, r.Attempt, r.Outcome = r.ID, "hr.employee.updated.v1", "okta", "identity", 7, 1, "applied"
			r.Fields = strings.Fields("name.given name.family position.title position.department work.location contact.work_email employment.status")
			r.Purpose, r.LegalBasis, r.Processor = "identity and access", "contract", "Okta, Inc."
			r.Detail = fmt.Appendf(nil, `{"target":"okta","integration":"identity","employee":%q,"event":%q,"type":"hr.employee.updated.v1","version":7,"attempt":1,"outcome":"applied","fields":["name.given","name.family","position.title","position.department","work.location","contact.work_email","employment.status"],"purpose":"identity and access","legal_basis":"contract","processor":"Okta, Inc.","config":"c1f0e2d3","at":"2026-03-01T09:00:00.123456789Z","accepted_at":"2026-03-01T09:00:00.023456789Z","took_ms":12,"trace":"00-%s-b7ad6b7169203331-01","done":7,"digest":"q3zj5w2mnbd4x6ya9cpf8ehtk7","status":"active"}`,
				person, r.Event, r.TraceID)
		}
		rs[i] = r
	}
	return rs
}

// BenchmarkAppend adds batches as they come under load to a real Postgres.
func BenchmarkAppend(b *testing.B) {
	const batch = 200
	for _, stream := range []string{topology.Raw, topology.Delivered} {
		b.Run(stream, func(b *testing.B) {
			l, _ := open(b)
			rs, seq := rows(stream, batch), uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				for i := range rs {
					seq++
					rs[i].Seq = seq
				}
				if _, err := l.Append(b.Context(), stream, rs); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(seq), "ns/row")
		})
	}
}
