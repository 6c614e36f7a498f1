package receive

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/clock"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connectors"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/secret"
	"github.com/muster-hr/muster/libs/service"
	"github.com/muster-hr/muster/libs/testkit"
	"github.com/muster-hr/muster/libs/topology"
)

// TestConcurrentCalls: many vendors at once, forged calls and repeats among
// them; every id that was accepted is in RAW, under the key it was sent for.
func TestConcurrentCalls(t *testing.T) {
	w := newWorld(t, bus.Options{})
	const callers, each = 16, 40
	var mu sync.Mutex
	accepted := map[string]string{} // id → subject
	var refused, wrong atomic.Int64
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				key := fmt.Sprint(c, "-", i%7)
				b := fmt.Sprintf(`{"records":[{"kind":"record","key":%q,"id":"%d","body":{"n":%d}}]}`, key, i/2, i/2)
				if i%10 == 9 {
					if w.post("/webhooks/hr", b, "Authorization", "wrong").Code == 401 {
						refused.Add(1)
					}
					continue
				}
				got := w.post("/webhooks/hr", b)
				var a taken
				if err := json.Unmarshal(got.Body.Bytes(), &a); got.Code != 202 || err != nil || len(a.IDs) != 1 {
					wrong.Add(1)
					continue
				}
				mu.Lock()
				accepted[a.ID] = topology.RawRecord("hr", w.Codec.Token("hr", key))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if wrong.Load() > 0 || refused.Load() != callers*each/10 {
		t.Fatalf("%d wrong answers, %d refused", wrong.Load(), refused.Load())
	}
	found := map[string]string{}
	for _, in := range w.stored(t, topology.Raw) {
		found[in.Event.ID()] = in.Subject
	}
	for id, subject := range accepted {
		if found[id] != subject {
			t.Errorf("%s is on %q, want %s", id, found[id], subject)
		}
	}
	if len(found) != len(accepted) {
		t.Errorf("%d ids stored, %d accepted", len(found), len(accepted))
	}
}

// benchSettings are those of the yardstick's company.
var benchSettings = map[string]any{
	"signature.header": "X-BambooHR-Signature", "signature.timestamp_header": "X-BambooHR-Timestamp",
	"signature.over": "{body}{ts}", "signature.format": "{hex}", "key": "employees[0].id", "event": "type", "id": "eventId",
}

// BenchmarkWebhook is one call of the yardstick, from the signature to the
// answer, with 32 callers per core. "os" leaves the disk out: messages stay in
// the page cache; "fsync" is what production does. Making the call is in it.
func BenchmarkWebhook(b *testing.B) {
	template, err := os.ReadFile("testdata/w1.json")
	if err != nil {
		b.Fatal(err)
	}
	for _, durability := range []bus.Durability{bus.OS, bus.Fsync} {
		b.Run(string(durability), func(b *testing.B) {
			srv := testkit.JetStream(b)
			if durability == bus.OS {
				if srv, err = bus.StartServer(bus.ServerOptions{StoreDir: b.TempDir(), Port: -1}); err != nil {
					b.Fatal(err)
				}
				b.Cleanup(srv.Shutdown)
			}
			testkit.Bus(b, srv, bus.Names{Sources: []string{"hr"}})
			conn := testkit.Connect(b, srv, bus.Options{Name: "ingress", Durability: durability})
			master, err := seal.ParseMaster(seal.NewMaster())
			if err != nil {
				b.Fatal(err)
			}
			sealer, err := seal.New(b.Context(), service.KeysOn(conn, "w1"), master, seal.Options{})
			if err != nil {
				b.Fatal(err)
			}
			settings := map[string]any{}
			for name, s := range connectors.All["http"].Settings {
				if settings[name] = s.Default; s.Default == nil {
					delete(settings, name)
				}
			}
			for name, v := range benchSettings {
				settings[name] = v
			}
			hook, err := connectors.All["http"].Webhook(connector.Account{Name: "hr", Settings: settings, Secrets: map[string]secret.Value{"webhook": secret.New("key")}})
			if err != nil {
				b.Fatal(err)
			}
			tracer := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.01)))).Tracer("")
			r := New(Deps{
				Bus: conn, Codec: record.Codec{Sealer: sealer, Company: "w1"}, Company: "w1", Clock: clock.System{},
				Log: slog.New(slog.DiscardHandler), Tracer: tracer, Count: func(string, string) {},
			})
			r.Add("hr", hook, false)
			var n atomic.Int64
			call := func() int {
				i := n.Add(1)
				body := strings.NewReplacer("{{n}}", fmt.Sprint(i), "{{emp}}", fmt.Sprint(i%1000)).Replace(string(template))
				mac := hmac.New(sha256.New, []byte("key"))
				mac.Write([]byte(body + "1"))
				req := httptest.NewRequest(http.MethodPost, "/webhooks/hr", strings.NewReader(body))
				req.Header.Set("X-BambooHR-Signature", hex.EncodeToString(mac.Sum(nil)))
				req.Header.Set("X-BambooHR-Timestamp", "1")
				rec := httptest.NewRecorder()
				r.ServeHTTP(rec, req)
				return rec.Code
			}
			for range 1000 { // the keys of 1000 people are made
				if code := call(); code != 202 {
					b.Fatalf("status %d", code)
				}
			}
			b.ReportAllocs()
			b.SetParallelism(32)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if code := call(); code != 202 {
						b.Errorf("status %d", code)
					}
				}
			})
		})
	}
}
