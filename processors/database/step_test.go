package database_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/sections"
	"github.com/fairleadio/fairlead/processors/database"
	configv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/config/v1"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	rbacv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rbac/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
)

// memory is a database of these tests: what steps write, steps read.
type memory struct {
	configs     map[string]*configv1.Configuration
	users       map[string]*rbacv1.User
	credentials map[string]*rbacv1.Credential
	roles       map[string]*rbacv1.Role
	permissions map[string]*rbacv1.Permission
	cpis        map[string]*cpiv1.Cpi
	nodes       map[string]*vnodev1.VirtualNode
	operations  map[string]*clusterdb.Operation
	parts       map[string]map[uint32]bool
	requests    int
	nowUs       int64
}

func newMemory() *memory {
	return &memory{
		configs: map[string]*configv1.Configuration{}, users: map[string]*rbacv1.User{}, credentials: map[string]*rbacv1.Credential{},
		roles: map[string]*rbacv1.Role{}, permissions: map[string]*rbacv1.Permission{}, cpis: map[string]*cpiv1.Cpi{},
		nodes: map[string]*vnodev1.VirtualNode{}, operations: map[string]*clusterdb.Operation{}, parts: map[string]map[uint32]bool{}, nowUs: 1_000_000,
	}
}

func (m *memory) state(r *dbv1.Request, id string) database.State {
	s := database.State{Roles: m.roles, Permissions: m.permissions}
	login := strings.ToLower(r.GetCreateUser().GetLoginName() + r.GetChangePassword().GetLoginName() + r.GetAddUserRole().GetLoginName() + r.GetRemoveUserRole().GetLoginName())
	s.User, s.Credential = m.users[login], m.credentials[login]
	s.Config = m.configs[r.GetPutConfig().GetSection()]
	for _, role := range m.roles {
		s.RoleTaken = s.RoleTaken || role.GetName() == r.GetCreateRole().GetName()
	}
	hash := r.GetSetVirtualNodeState().GetShortHash() + r.GetUpgradeVirtualNode().GetShortHash() + r.GetUpdateVirtualNodeDb().GetShortHash() + r.GetResyncVault().GetShortHash()
	s.Cpi = m.cpis[r.GetCreateVirtualNode().GetCpiChecksum()+r.GetUpgradeVirtualNode().GetCpiChecksum()]
	if c := r.GetCreateVirtualNode(); c != nil && s.Cpi != nil {
		group := s.Cpi.GetGroupId()
		if group == "CREATE_ID" {
			group = identity.NewGroupID(id)
		}
		if h, err := identity.NewHolding(c.GetX500Name(), group); err == nil {
			hash = h.ShortHash()
			s.Operation = m.operations[hash]
		}
	}
	s.VirtualNode = m.nodes[hash]
	if u := r.GetUpgradeVirtualNode(); u != nil && s.VirtualNode != nil {
		s.Operation = m.operations[hash+s.VirtualNode.GetCpiChecksum()+u.GetCpiChecksum()]
	}
	s.Present = m.cpis[s.VirtualNode.GetCpiChecksum()]
	return s
}

func (m *memory) apply(o database.Outcome) {
	for _, w := range o.Writes {
		switch x := w.(type) {
		case database.PutConfig:
			m.configs[x.Config.GetSection()] = x.Config
		case database.PutUser:
			m.users[x.User.GetLoginName()] = x.User
			if x.Credential != nil {
				m.credentials[x.User.GetLoginName()] = x.Credential
			}
		case database.PutRole:
			m.roles[x.Role.GetId()] = x.Role
		case database.PutPermission:
			m.permissions[x.Permission.GetId()] = x.Permission
		case database.PutVirtualNode:
			m.nodes[x.VirtualNode.GetShortHash()] = x.VirtualNode
		case database.PutOperation:
			m.operations[x.Operation.Status.GetRequestId()] = x.Operation
		case database.PutPackage:
			m.cpis[x.Cpi.GetChecksum()] = x.Cpi
			for _, old := range x.Replaced {
				delete(m.cpis, old)
			}
		case database.PutPart:
			m.received(x.Part)[x.Part.GetPart()] = true
		}
	}
}

func (m *memory) received(p *dbv1.CpiPart) map[uint32]bool {
	if m.parts[p.GetRequestId()] == nil {
		m.parts[p.GetRequestId()] = map[uint32]bool{}
	}
	return m.parts[p.GetRequestId()]
}

func (m *memory) ask(key string, r *dbv1.Request, given ...database.Connections) database.Outcome {
	m.requests++
	m.nowUs++
	e := database.Asked{Key: key, ID: "request-" + strconv.Itoa(m.requests), Reply: "rpc.replies/-/", Request: r, NowUs: m.nowUs}
	if p := r.GetPutConfig(); p != nil {
		e.Config, e.ConfigErr = sections.Check(p.GetSection(), p.GetConfig())
	}
	for _, c := range given {
		e.Connections = c
	}
	o, err := database.Step(m.state(r, e.ID), e)
	if err != nil {
		panic(err)
	}
	m.apply(o)
	return o
}

// stateOf is what the end of an operation's step needs.
func (m *memory) stateOf(id string, result database.Result) database.State {
	op := m.operations[id]
	s := database.State{Operation: op, Version: 1}
	if op == nil {
		return s
	}
	s.Cpi, s.VirtualNode = m.cpis[op.Work.Checksum], m.nodes[op.Work.ShortHash]
	if c := result.Package; c != nil {
		s.Cpi = m.cpis[c.GetChecksum()]
		for _, have := range m.cpis {
			if have.GetName() == c.GetName() && have.GetVersion() == c.GetVersion() {
				s.SameName = append(s.SameName, have)
			}
		}
		for _, v := range m.nodes {
			s.UsedBy = append(s.UsedBy, database.Use{ShortHash: v.GetShortHash(), Checksum: v.GetCpiChecksum()})
		}
	}
	return s
}

func (m *memory) done(id string, result database.Result) database.Outcome {
	m.nowUs++
	o, err := database.Step(m.stateOf(id, result), database.StepDone{Result: result, NowUs: m.nowUs})
	if err != nil {
		panic(err)
	}
	m.apply(o)
	return o
}

// show writes an outcome for people.
func show(o database.Outcome) string {
	var b strings.Builder
	for _, w := range o.Writes {
		fmt.Fprintf(&b, "write %s%s\n", strings.TrimPrefix(fmt.Sprintf("%T", w), "database."), connectionsOf(w))
	}
	for _, x := range o.Out {
		fmt.Fprintf(&b, "%s %s %s\n", x.Kind, x.Topic, x.Key)
	}
	for _, a := range o.Audit {
		fmt.Fprintf(&b, "audit %s %s by %s\n", a.Action, a.Entity, a.Actor)
	}
	switch {
	case o.Reply == nil:
		b.WriteString("no reply\n")
	case o.Reply.GetError() != nil:
		e := o.Reply.GetError()
		fmt.Fprintf(&b, "refused %s %s: %s\n", strings.TrimPrefix(e.GetKind().String(), "ERROR_KIND_"), e.GetId(), e.GetMessage())
	default:
		var facts []string
		for _, f := range o.Reply.GetFacts() {
			facts = append(facts, fmt.Sprintf("%s/%s@%d", f.GetTopic(), f.GetKey(), f.GetVersion()))
		}
		fmt.Fprintf(&b, "done %s\n", strings.Join(facts, " "))
	}
	return b.String()
}

// connectionsOf shows which connections are written and dropped.
func connectionsOf(w database.Write) string {
	x, ok := w.(database.PutConnections)
	if !ok || len(x.Put) == 0 && len(x.Drop) == 0 {
		return ""
	}
	var put []clusterdb.RoleName
	for _, c := range x.Put {
		put = append(put, c.Role)
	}
	return fmt.Sprintf(" put=%v drop=%v", put, x.Drop)
}

// roles reads a list of roles.
func roles(d *datadriven.TestData, arg string) []clusterdb.RoleName {
	var out []clusterdb.RoleName
	for _, a := range d.CmdArgs {
		if a.Key == arg {
			for _, v := range a.Vals {
				out = append(out, clusterdb.RoleName(v))
			}
		}
	}
	return out
}

// The scripts: "ask KEY [ddl] [dml] [moves] [theirs]" with a Request as text, "cpi" with a Cpi as text, "done OPERATION STEP [failed] [again] [connections=(ROLE,…)] [dropped=(ROLE,…)]",
// "part REQUEST N OF", "show".
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		m := newMemory()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "ask":
				r := &dbv1.Request{}
				if err := prototext.Unmarshal([]byte(d.Input), r); err != nil {
					d.Fatalf(t, "%v", err)
				}
				if r.Actor == "" {
					r.Actor = "admin"
				}
				var key string
				d.ScanArgs(t, "key", &key)
				given := database.Connections{DDL: d.HasArg("ddl"), DML: d.HasArg("dml"), Moves: d.HasArg("moves"), Theirs: d.HasArg("theirs")}
				return show(m.ask(key, r, given))
			case "cpi":
				c := &cpiv1.Cpi{}
				if err := prototext.Unmarshal([]byte(d.Input), c); err != nil {
					d.Fatalf(t, "%v", err)
				}
				m.cpis[c.GetChecksum()] = c
				return ""
			case "done":
				var id string
				var result database.Result
				d.ScanArgs(t, "operation", &id)
				d.ScanArgs(t, "step", &result.Step)
				if d.HasArg("failed") {
					result.Err = fmt.Errorf("the database says no")
				}
				result.Again = d.HasArg("again")
				for _, role := range roles(d, "connections") {
					result.Connections = append(result.Connections, &clusterdb.VaultConnection{Role: role, Login: "their-" + string(role)})
				}
				result.Dropped = roles(d, "dropped")
				if d.HasArg("package") {
					result.Package = &cpiv1.Cpi{}
					if err := prototext.Unmarshal([]byte(d.Input), result.Package); err != nil {
						d.Fatalf(t, "%v", err)
					}
				}
				out := show(m.done(id, result))
				if op := m.operations[id]; op != nil {
					out += fmt.Sprintf("%s %q %s v%d\n", strings.TrimPrefix(op.Status.GetState().String(), "OPERATION_STATE_"), op.Status.GetStage(), op.Status.GetErrorId(), op.Status.GetVersion())
				}
				return out
			case "part":
				p := &dbv1.CpiPart{Data: []byte("x"), FileSha256: make([]byte, 32), Actor: "admin"}
				var part, parts int
				d.ScanArgs(t, "request", &p.RequestId)
				d.ScanArgs(t, "part", &part)
				d.ScanArgs(t, "of", &parts)
				p.Part, p.Parts, p.Force = uint32(part), uint32(parts), d.HasArg("force")
				have := m.received(p)
				n := len(have)
				if !have[p.GetPart()] {
					n++
				}
				o, err := database.Step(database.State{Operation: m.operations[p.GetRequestId()], Parts: uint32(n)}, database.PartCame{Key: p.GetRequestId(), Part: p, NowUs: m.nowUs})
				if err != nil {
					return err.Error() + "\n"
				}
				m.apply(o)
				return show(o)
			default:
				d.Fatalf(t, "unknown command %s", d.Cmd)
				return ""
			}
		})
	})
}

// Whatever is asked in whatever order: row versions grow by one with each change, and a reply names the versions that
// were written.
func TestVersionsGrow(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		m := newMemory()
		versions := map[string]uint64{}
		var roleIDs, permissionIDs []string
		for range rapid.IntRange(1, 40).Draw(r, "requests") {
			login := rapid.SampledFrom([]string{"ann", "bob"}).Draw(r, "login")
			pick := func(ids []string) string {
				return rapid.SampledFrom(append(slices.Clone(ids), "none")).Draw(r, "id")
			}
			requests := map[string]*dbv1.Request{
				"user/" + login: rapid.SampledFrom([]*dbv1.Request{
					{Operation: &dbv1.Request_CreateUser{CreateUser: &dbv1.CreateUser{LoginName: login}}},
					{Operation: &dbv1.Request_AddUserRole{AddUserRole: &dbv1.UserRole{LoginName: login, RoleId: pick(roleIDs)}}},
					{Operation: &dbv1.Request_RemoveUserRole{RemoveUserRole: &dbv1.UserRole{LoginName: login, RoleId: pick(roleIDs)}}},
				}).Draw(r, "of user"),
				"role/x": {Operation: &dbv1.Request_CreateRole{CreateRole: &dbv1.CreateRole{Name: rapid.SampledFrom([]string{"a", "b"}).Draw(r, "role")}}},
				"permission/x": {Operation: &dbv1.Request_CreatePermissions{CreatePermissions: &dbv1.CreatePermissions{
					Permissions: []*dbv1.CreatePermission{{Effect: rbacv1.PermissionEffect_PERMISSION_EFFECT_ALLOW, Pattern: "x"}}, RoleIds: roleIDs,
				}}},
				"config/corda.rbac": {Operation: &dbv1.Request_PutConfig{PutConfig: &dbv1.PutConfig{
					Section: "corda.rbac", Config: "{}", SchemaMajor: 1, Version: rapid.Uint64Range(0, 3).Draw(r, "version"),
				}}},
			}
			if role := pick(roleIDs); role != "none" {
				requests["role/"+role] = &dbv1.Request{Operation: &dbv1.Request_AddRolePermission{AddRolePermission: &dbv1.RolePermission{RoleId: role, PermissionId: pick(permissionIDs)}}}
			}
			keys := make([]string, 0, len(requests))
			for k := range requests {
				keys = append(keys, k)
			}
			slices.Sort(keys)
			key := rapid.SampledFrom(keys).Draw(r, "key")
			o := m.ask(key, requests[key])
			if o.Reply.GetError() != nil && (len(o.Writes) > 0 || len(o.Out) > 0 || len(o.Audit) > 0) {
				r.Fatalf("a refused request changes something: %s", show(o))
			}
			for _, f := range o.Reply.GetFacts() {
				at := f.GetTopic() + "/" + f.GetKey()
				if f.GetVersion() != versions[at]+1 {
					r.Fatalf("%s goes from version %d to %d", at, versions[at], f.GetVersion())
				}
				versions[at] = f.GetVersion()
			}
			if len(o.Reply.GetFacts()) > 0 && len(o.Audit) == 0 {
				r.Fatalf("a change without audit: %s", show(o))
			}
			roleIDs, permissionIDs = sortedKeys(m.roles), sortedKeys(m.permissions)
		}
	})
}

func sortedKeys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// A step is pure: the same state and event give the same outcome, and neither is changed.
func TestStepIsPure(t *testing.T) {
	m := newMemory()
	m.ask("user/ann", &dbv1.Request{Operation: &dbv1.Request_CreateUser{CreateUser: &dbv1.CreateUser{LoginName: "ann"}}})
	m.ask("role/r", &dbv1.Request{Operation: &dbv1.Request_CreateRole{CreateRole: &dbv1.CreateRole{Name: "r"}}})
	r := &dbv1.Request{Operation: &dbv1.Request_AddUserRole{AddUserRole: &dbv1.UserRole{LoginName: "ann", RoleId: sortedKeys(m.roles)[0]}}}
	e := database.Asked{Key: "user/ann", ID: "x", Request: r, NowUs: 5}
	before := proto.Clone(m.users["ann"])
	first, err := database.Step(m.state(r, "x"), e)
	if err != nil {
		t.Fatal(err)
	}
	again, err := database.Step(m.state(r, "x"), e)
	if err != nil || show(first) != show(again) || !proto.Equal(first.Reply, again.Reply) {
		t.Errorf("%s\n%s\n%v", show(first), show(again), err)
	}
	if !proto.Equal(before, m.users["ann"]) {
		t.Error("the step changed its state")
	}
}

func TestExplanations(t *testing.T) {
	advice := database.Explanations()
	for i := 1; i <= 23; i++ {
		if id := fmt.Sprintf("FL-DB-%03d", i); advice[id] == "" {
			t.Errorf("%s has no advice", id)
		}
	}
}
