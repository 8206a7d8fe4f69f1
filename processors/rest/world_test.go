package rest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/internal/rbac"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	rbacv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rbac/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
)

// memory is a View that tests write to.
type memory struct {
	// onWait is called when somebody begins to wait; nil for nothing.
	onWait  func()
	mu      sync.Mutex
	rows    map[string]any
	changed chan struct{}
}

func newMemory() *memory { return &memory{rows: map[string]any{}, changed: make(chan struct{})} }

func (m *memory) put(key string, msg any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows[key] = msg
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *memory) Get(key string) (any, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.rows[key]
	return v, ok
}

func (m *memory) All() iter.Seq2[string, any] {
	m.mu.Lock()
	defer m.mu.Unlock()
	rows := maps.Clone(m.rows)
	return func(yield func(string, any) bool) {
		for _, k := range slices.Sorted(maps.Keys(rows)) {
			if !yield(k, rows[k]) {
				return
			}
		}
	}
}

func (m *memory) WaitKey(ctx context.Context, key string, until func(any, bool) bool) (any, error) {
	for {
		m.mu.Lock()
		v, ok := m.rows[key]
		changed := m.changed
		m.mu.Unlock()
		if until(v, ok) {
			return v, nil
		}
		if m.onWait != nil {
			m.onWait()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

const (
	aliceHash = "253501665E9D"
	bobHash   = "AAAAAAAAAAAA"
	ownFlow   = "00000000-0000-5000-8000-000000000001"
	// ownCommand is the id that the writer gives to every command.
	ownCommand = "00000000-0000-5000-8000-0000000000c1"
)

// world is a server over memory, with Alice, who may start flows, and Bob, who may not.
type world struct {
	t                         testing.TB
	server                    *Server
	status                    *memory
	users                     *memory
	creds                     *memory
	perms                     *memory
	vnodes                    *memory
	cpis                      *memory
	configs, operations, keys *memory
	servant                   *servant
	mu                        sync.Mutex
	started                   []*flowv1.StartFlow
	traces                    []string
	// onStart is the flow mapper: it is told of each start and may write a status.
	onStart func(key string, s *flowv1.StartFlow)
	// onCommand is the flow worker: it is told of each command and may write a status.
	onCommand func(*flowv1.FlowStatus)
	writeErr  error
	commands  map[string]*flowv1.FlowCommand
	journal   []JournalRow
	now       time.Time
}

func (w *world) Start(_ context.Context, key string, s *flowv1.StartFlow, trace string) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.writeErr != nil {
		return "", w.writeErr
	}
	w.started, w.traces = append(w.started, s), append(w.traces, trace)
	if w.onStart != nil {
		w.onStart(key, s)
	}
	return ownFlow, nil
}

func (w *world) Command(_ context.Context, s *flowv1.FlowStatus, c *flowv1.FlowCommand, _ string) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.writeErr != nil {
		return "", w.writeErr
	}
	w.commands[s.GetFlowId()] = c
	if w.onCommand != nil {
		w.onCommand(s)
	}
	return ownCommand, nil
}

func (w *world) Rows(_ context.Context, flowID string, _ time.Time) ([]JournalRow, error) {
	if flowID != ownFlow {
		return nil, errors.New("broker away")
	}
	return w.journal, nil
}

func newWorld(t testing.TB, cfg Config) *world {
	t.Helper()
	w := &world{
		t: t, status: newMemory(), users: newMemory(), creds: newMemory(), perms: newMemory(), vnodes: newMemory(),
		configs: newMemory(), operations: newMemory(), keys: newMemory(), servant: &servant{},
		commands: map[string]*flowv1.FlowCommand{}, now: time.Unix(1_700_000_000, 0),
	}
	roles, cpis := newMemory(), newMemory()
	w.cpis = cpis
	hash, err := rbac.Hash("pw", rbac.Cost{MemoryKiB: 64, Passes: 1, Lanes: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, login := range []string{"alice", "bob"} {
		w.users.put(login, &rbacv1.User{LoginName: login, Enabled: true, RoleIds: []string{login}})
		w.creds.put(login, &rbacv1.Credential{LoginName: login, PasswordHash: hash})
	}
	roles.put("alice", &rbacv1.Role{Id: "alice", PermissionIds: []string{"all"}})
	roles.put("bob", &rbacv1.Role{Id: "bob", PermissionIds: []string{"call", "start-hello"}})
	allow := rbacv1.PermissionEffect_PERMISSION_EFFECT_ALLOW
	w.perms.put("all", &rbacv1.Permission{Id: "all", Effect: allow, Pattern: ".*"})
	w.perms.put("call", &rbacv1.Permission{Id: "call", Effect: allow, Pattern: "(GET|POST):/api/v5_2/flow/.*"})
	w.perms.put("start-hello", &rbacv1.Permission{Id: "start-hello", Effect: allow, Pattern: "StartFlow:hello"})
	cpis.put("C0FFEE000000", &cpiv1.Cpi{
		Name: "app", Version: "1.0", GroupId: "g", SignerSummaryHash: "SHA-256:00", Checksum: "C0FFEE000000",
		Modules: []*cpiv1.Module{
			{Kind: cpiv1.ModuleKind_MODULE_KIND_FLOW, Flows: []*cpiv1.FlowClass{{Name: "sleepy", Startable: true}, {Name: "hello", Startable: true}, {Name: "responder"}}},
			{Kind: cpiv1.ModuleKind_MODULE_KIND_CONTRACT, Flows: []*cpiv1.FlowClass{{Name: "contract", Startable: true}}},
		},
	})
	active, inactive := vnodev1.OperationalStatus_OPERATIONAL_STATUS_ACTIVE, vnodev1.OperationalStatus_OPERATIONAL_STATUS_INACTIVE
	w.vnodes.put(aliceHash, &vnodev1.VirtualNode{
		Identity: &vnodev1.HoldingIdentity{X500Name: "O=Alice, L=London, C=GB", GroupId: "g"}, ShortHash: aliceHash,
		CpiChecksum: "C0FFEE000000", FlowStart: active, FlowOperation: active,
	})
	w.vnodes.put(bobHash, &vnodev1.VirtualNode{
		Identity: &vnodev1.HoldingIdentity{X500Name: "O=Bob, L=Paris, C=FR", GroupId: "g"}, ShortHash: bobHash,
		CpiChecksum: "C0FFEE000000", FlowStart: inactive, FlowOperation: active,
	})
	w.server, err = New(cfg, Parts{
		Views: Views{
			VirtualNodes: w.vnodes, Cpis: cpis, FlowStatus: w.status, Users: w.users, Roles: roles, Permissions: w.perms, Credentials: w.creds,
			Config: w.configs, Operations: w.operations, Keys: w.keys,
		},
		Requests: w.servant,
		Writer:   w, Journal: w, Healthy: func() (bool, []string) { return true, nil },
		Now: func() time.Time { return w.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// accept makes the flow mapper accept every start as the flow of this id.
func (w *world) accept(flowID string) {
	w.onStart = func(key string, s *flowv1.StartFlow) { w.status.put(key, running(key, flowID)) }
}

func running(key, flowID string) *flowv1.FlowStatus {
	i := strings.LastIndex(key, "-")
	return &flowv1.FlowStatus{
		Vnode: key[i+1:], ClientRequestId: key[:i], FlowId: flowID, FlowClass: "hello", State: flowv1.FlowState_FLOW_STATE_RUNNING,
		CreatedAtUs: 1679333038998000, UpdatedAtUs: 1679333039000000, WaitingFor: "sleep", InitiatedBy: "alice",
	}
}

func (w *world) put(id string, change func(*flowv1.FlowStatus)) {
	s := running(statusKey(id, aliceHash), ownFlow)
	change(s)
	w.status.put(statusKey(id, aliceHash), s)
}

// do sends a request as "METHOD /path", with header lines "Name: value".
func (w *world) do(user, what, body string, header ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	method, path, _ := strings.Cut(what, " ")
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if user != "" {
		r.SetBasicAuth(user, "pw")
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, r)
	return rec
}

func (w *world) want(rec *httptest.ResponseRecorder, status int, body string) {
	w.t.Helper()
	if rec.Code != status || body != "" && rec.Body.String() != body {
		w.t.Errorf("got %d %s\nwant %d %s", rec.Code, rec.Body, status, body)
	}
}

func cordaError(status int, title string) string {
	return fmt.Sprintf("{\n    \"title\": %q,\n    \"status\": %d,\n    \"details\": {}\n}", title, status)
}

var _ http.Handler = (*Server)(nil)
