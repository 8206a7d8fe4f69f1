package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/integration/flows"
	"github.com/fairleadio/fairlead/integration/party"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

// messagesVariable says in a run's environment how many messages are sent.
const messagesVariable = "FAIRLEAD_MESSAGES"

const (
	defaultMessages = 150
	perSecond       = 10
	clients         = 16
	// patience is how long everything may take that must come to an end; more for each message.
	patience           = 3 * time.Minute
	patiencePerMessage = 200 * time.Millisecond
	overrides          = "sets: {flow: {partitions: 6}, flow-mapper: {partitions: 6}, flow-status: {partitions: 6}, facts: {partitions: 1}, tools: {partitions: 1}}\n"
)

var members = []string{"O=Alice, L=London, C=GB", "O=Bob, L=Paris, C=FR", "O=Carol, L=Rome, C=IT"}

// TestChat is the proof.
func TestChat(t *testing.T) {
	count := int(party.Number(t, messagesVariable, defaultMessages))
	r := &run{Run: party.New(t, "chat", patience+time.Duration(count)*patiencePerMessage), count: count}
	r.Say("%d messages", count)
	r.start()
	r.install()
	r.talk()
	r.judge()
}

// run is one run of TestChat.
type run struct {
	*party.Run
	count  int
	client *flows.Client
	vnodes []flows.Vnode
	sent   []message
	faults map[string]int
}

// message is one that was sent: its request, from whom to whom.
type message struct {
	flows.Asked
	to, text string
}

// start brings the servers and the processes of all workers up.
func (r *run) start() {
	r.All(overrides)
	r.client = &flows.Client{User: party.User, Password: r.Password, HTTP: r.HTTP, URLs: r.URLs}
}

// install makes the members' virtual nodes with the example application.
func (r *run) install() {
	for _, h := range r.Install("chat", members...) {
		r.vnodes = append(r.vnodes, flows.Vnode{ShortHash: h.ShortHash(), X500Name: h.Name.String()})
	}
}

// talk sends the messages at a steady rate while faults happen.
func (r *run) talk() {
	ctx, cancel := context.WithTimeout(r.T.Context(), patience+time.Duration(r.count)*(time.Second/perSecond+patiencePerMessage))
	defer cancel()
	stormy, calm := context.WithCancel(ctx)
	defer calm()
	chaos := make(chan error, 1)
	rnd := rand.New(rand.NewPCG(r.Rnd.Uint64(), 2))
	r.faults = map[string]int{}
	go func() {
		chaos <- r.Storm(stormy, rnd, r.faults, party.Kill, party.Kill, party.Kill, party.Wipe, party.Freeze, party.Postgres)
	}()
	queue := make(chan message)
	var mu sync.Mutex
	var wg sync.WaitGroup
	var errs []error
	for range clients {
		rnd := rand.New(rand.NewPCG(r.Rnd.Uint64(), 3))
		wg.Go(func() {
			for m := range queue {
				asked, err := r.client.Start(ctx, rnd, m.Request)
				m.Asked = asked
				mu.Lock()
				r.sent, errs = append(r.sent, m), append(errs, err)
				mu.Unlock()
			}
		})
	}
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	for n := range r.count {
		queue <- r.draw(n)
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	close(queue)
	wg.Wait()
	calm()
	r.Must("faults", <-chaos)
	r.Must("clients", errors.Join(errs...))
	r.Say("%d messages are asked for; faults %v", len(r.sent), r.faults)
}

func (r *run) draw(n int) message {
	from := r.Rnd.IntN(len(r.vnodes))
	to := (from + 1 + r.Rnd.IntN(len(r.vnodes)-1)) % len(r.vnodes)
	m := message{to: r.vnodes[to].ShortHash, text: fmt.Sprintf("message %d of %s", n, r.vnodes[from].X500Name)}
	input, err := json.Marshal(map[string]string{"to": r.vnodes[to].X500Name, "text": m.text})
	r.Must("encode a message", err)
	m.Request = flows.Request{ID: "m" + strconv.Itoa(n), Vnode: r.vnodes[from], Class: "chat-send", Input: string(input), Twice: r.Rnd.IntN(20) == 0}
	return m
}

// judge waits until every flow has ended, and compares what is kept with what was sent.
func (r *run) judge() {
	byNode := map[string]map[string]bool{} // receiver, text
	for _, v := range r.vnodes {
		byNode[v.ShortHash] = map[string]bool{}
	}
	completed := 0
	for _, m := range r.sent {
		byNode[m.to][m.text] = true
		var s struct {
			FlowStatus string
			FlowError  json.RawMessage
		}
		url := r.URLs[completed%len(r.URLs)]
		r.Until("flow "+m.ID+" ends", func(ctx context.Context) error {
			err := r.Get(ctx, url, "/flow/"+m.Vnode.ShortHash+"/"+m.ID, &s)
			if err == nil && !slices.Contains([]string{"COMPLETED", "FAILED", "KILLED"}, s.FlowStatus) {
				err = fmt.Errorf("it is %s", s.FlowStatus)
			}
			return err
		})
		if s.FlowStatus != "COMPLETED" {
			r.T.Errorf("message %s of %s: its flow is %s: %s", m.ID, m.Vnode.X500Name, s.FlowStatus, s.FlowError)
		}
		if len(m.FlowIDs) > 1 {
			r.T.Errorf("message %s was accepted as flows %v", m.ID, m.FlowIDs)
		}
		completed++
	}
	r.Say("all flows have ended")
	starts := r.Stop(r.T.Context())
	db := pgtest.Open(r.T, postgres.Config{URL: r.Postgres.URL("vnodes")})
	for _, v := range r.vnodes {
		r.compare(v, byNode[v.ShortHash], r.kept(db, v))
	}
	r.Say("judged on %s, %s: %d messages among %d members; faults %v, %d process starts", r.Cluster.Kind(), "PostgreSQL "+r.Postgres.Version(), len(r.sent), len(r.vnodes), r.faults, starts)
}

// kept reads the texts in a member's table.
func (r *run) kept(db *postgres.Pool, v flows.Vnode) []string {
	r.T.Helper()
	var schema string
	r.Must("find the schema of "+v.X500Name, db.One(r.T.Context(), []any{&schema},
		"SELECT table_schema FROM information_schema.tables WHERE table_name = 'messages' AND table_schema ILIKE '%' || $1 || '%'", v.ShortHash))
	var texts []string
	var all string
	r.Must("read the messages of "+v.X500Name, db.One(r.T.Context(), []any{&all},
		"SELECT coalesce(json_agg(text), '[]')::text FROM "+postgres.Identifier(schema)+".messages"))
	r.Must("decode the messages", json.Unmarshal([]byte(all), &texts))
	return texts
}

// compare names what is missing, what is there twice, and what nobody sent.
func (r *run) compare(v flows.Vnode, want map[string]bool, have []string) {
	seen := map[string]int{}
	for _, text := range have {
		seen[text]++
		if !want[text] {
			r.T.Errorf("%s keeps %q, which nobody sent", v.X500Name, text)
		}
	}
	for text := range want {
		if seen[text] != 1 {
			r.T.Errorf("%s keeps %q %d times", v.X500Name, text, seen[text])
		}
	}
}
