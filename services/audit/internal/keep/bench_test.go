package keep

import (
	"testing"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/topology"
)

// webhook is what the audit hears of one webhook that changes one person at two
// targets, one of which has its calls begun by an intent.
func webhook(t testing.TB) []bus.In {
	const (
		key, emp = "k7q3zj5w2mnbd4x6ya9cpf8eht", "e5w2mnbd4x6yk7q3zja9cpf8eh"
		delivery = `,"integration":"identity","employee":"` + emp + `","event":"v8ehtk7q3zj5w2mnbd4x6ya9cp","type":"hr.employee.updated.v1","version":7,"attempt":1`
		covered  = `,"fields":["name.given","name.family","position.title","position.department","work.location","contact.work_email","employment.status"],"purpose":"identity and access","legal_basis":"contract","processor":"Okta, Inc.","config":"c1f0e2d3","at":"2026-03-01T09:00:00.123456789Z","accepted_at":"2026-03-01T09:00:00.023456789Z","took_ms":12,"trace":"` + trace + `","done":7,"digest":"q3zj5w2mnbd4x6ya9cpf8ehtk7","status":"active"}`
	)
	var ins []bus.In
	for _, m := range []struct{ stream, subject, typ, head string }{
		{topology.Raw, topology.RawRecord("bamboohr", key), event.RecordReceivedV1,
			`{"source":"bamboohr","event":"employee.updated","version":{"scale":"time","value":"2026-03-01T09:00:00Z"},"accepted_at":"2026-03-01T09:00:00.023456789Z"}`},
		{topology.People, topology.Employee(emp), event.EmployeeUpdatedV1,
			`{"id":"` + emp + `","version":7,"status":"active","changed":["position.title","position.department","work.location"],"source":"bamboohr","event":"x6ya9cpf8ehtk7q3zj5w2mnbd4","raw":88213,"accepted_at":"2026-03-01T09:00:00.023456789Z","links":["bamboohr/` + key + `"],"config":"c1f0e2d3"}`},
		{topology.People, topology.Said("bamboohr", key), event.RecordStatedV1,
			`{"source":"bamboohr","employee":"` + emp + `","status":"applied","version":{"scale":"time","value":"2026-03-01T09:00:00Z"},"event":"x6ya9cpf8ehtk7q3zj5w2mnbd4","word":"employee.updated","raw":88213,"accepted_at":"2026-03-01T09:00:00.023456789Z","stated_at":"2026-03-01T09:00:00.043456789Z","conflicts":[{"path":"pay.salary","rule":"authority","winner":"payroll"}],"config":"c1f0e2d3"}`},
		{topology.Delivered, topology.DeliveredTo("okta", emp), event.DeliveryIntendedV1, `{"target":"okta"` + delivery + `,"outcome":"intended"` + covered},
		{topology.Delivered, topology.DeliveredTo("okta", emp), event.DeliveryCompletedV1, `{"target":"okta"` + delivery + `,"outcome":"applied"` + covered},
		{topology.Delivered, topology.DeliveredTo("payroll", emp), event.DeliveryCompletedV1, `{"target":"payroll"` + delivery + `,"outcome":"applied"` + covered},
	} {
		ins = append(ins, message(m.stream, m.subject, m.typ, sealed(t, m.head)))
	}
	return ins
}

// BenchmarkRow makes the six rows of a webhook.
func BenchmarkRow(b *testing.B) {
	ins := webhook(b)
	b.ReportAllocs()
	for b.Loop() {
		for i := range ins {
			if r := Row(ins[i]); r.Detail == nil {
				b.Fatal("the head is lost")
			}
		}
	}
}
