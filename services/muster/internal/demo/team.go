package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// team reads the stream of the team bi as a downstream program would: with the
// plain NATS client, the team's own key, its durable consumer and nothing else.
type team struct {
	nc     *nats.Conn
	events chan teamEvent
	stop   func()

	mu    sync.Mutex
	count int
	who   string
}

type teamEvent struct {
	verb     string
	subject  string
	sequence uint64
	data     map[string]any
	employee json.RawMessage
}

func follow(url, seedFile string) (*team, error) {
	key, err := nats.NkeyOptionFromSeed(seedFile)
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(url, key, nats.CustomInboxPrefix("_INBOX_team-bi"), nats.Name("team-bi"))
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, err
	}
	consumer, err := js.Consumer(context.Background(), "TEAM_bi", "bi")
	if err != nil {
		nc.Close()
		return nil, err
	}
	t := &team{nc: nc, events: make(chan teamEvent, 1024)}
	running, err := consumer.Consume(t.take)
	if err != nil {
		nc.Close()
		return nil, err
	}
	t.stop = running.Stop
	return t, nil
}

func (t *team) take(m jetstream.Msg) {
	h := m.Headers()
	e := teamEvent{subject: first(h, "ce-subject")}
	e.sequence, _ = strconv.ParseUint(first(h, "ce-sequence"), 10, 64) // checked by who looks at it
	var data struct {
		Employee json.RawMessage `json:"employee"`
	}
	if json.Unmarshal(m.Data(), &data) == nil && json.Unmarshal(m.Data(), &e.data) == nil {
		e.employee = data.Employee
	}
	e.verb = verbOf(m.Subject())
	t.mu.Lock()
	t.count++
	t.mu.Unlock()
	t.events <- e
	_ = m.Ack() // comes again otherwise
}

// verbOf is the fourth token of hr.team.bi.<verb>.<id>.
func verbOf(subject string) string {
	tokens := strings.Split(subject, ".")
	if len(tokens) != 5 {
		return ""
	}
	return tokens[3]
}

func first(h nats.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func (t *team) next(ctx context.Context) (teamEvent, error) {
	select {
	case e := <-t.events:
		return e, nil
	case <-ctx.Done():
		return teamEvent{}, fmt.Errorf("not seen within %s", patience)
	}
}

// isOurs keeps to the first person seen: the one the demo is about.
func (t *team) isOurs(e teamEvent) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.who == "" {
		t.who = e.subject
	}
	return t.who == e.subject
}

func (t *team) employee() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.who
}

func (t *team) received() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

func (t *team) close() {
	t.stop()
	t.nc.Close()
}
