package devenv

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/schemas"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	rbacv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rbac/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// GroupID is the application network of a dev cluster whose --network names none: the same everywhere, so that short hashes are, too.
func GroupID() string { return identity.V5(identity.Namespace(), []byte("fairlead dev")).String() }

// Members returns the names of the members of the built-in network.
func Members() []string {
	return []string{"O=Alice, L=London, C=GB", "O=Bob, L=New York, C=US"}
}

// fact is one record of a compacted topic.
type fact struct {
	topic, key string
	msg        proto.Message
	codec      engine.Codec
}

// VirtualNode is a virtual node as dev.json and screens show it.
type VirtualNode struct {
	// Name is the organisation, for short.
	Name      string `json:"name"`
	X500Name  string `json:"x500Name"`
	GroupID   string `json:"groupId"`
	ShortHash string `json:"shortHash"`
	// App is the name of its application; empty for none.
	App string `json:"app,omitempty"`
	// Notary tells whether it is the network's notary.
	Notary bool `json:"notary,omitempty"`
	// folder is where its application's sources are.
	folder string
}

// Ids of the role and permission that the administrator has.
const (
	adminRole       = "dev-default-system-admin"
	adminPermission = "dev-everything"
	adminRoleName   = "Default System Admin"
)

// userFacts are the administrator and what the administrator may do.
func userFacts(c Credentials) []fact {
	return []fact{
		{topics.RBACPermission, adminPermission, &rbacv1.Permission{
			Id: adminPermission, Effect: rbacv1.PermissionEffect_PERMISSION_EFFECT_ALLOW, Pattern: ".*", Version: 1,
		}, schemas.Codec[*rbacv1.Permission]()},
		{topics.RBACRole, adminRole, &rbacv1.Role{Id: adminRole, Name: adminRoleName, PermissionIds: []string{adminPermission}, Version: 1}, schemas.Codec[*rbacv1.Role]()},
		{topics.RBACCredential, c.User, &rbacv1.Credential{LoginName: c.User, PasswordHash: c.PasswordHash, Version: 1}, schemas.Codec[*rbacv1.Credential]()},
		{topics.RBACUser, c.User, &rbacv1.User{
			LoginName: c.User, FullName: "Administrator of this dev cluster", Enabled: true, RoleIds: []string{adminRole}, Version: 1,
		}, schemas.Codec[*rbacv1.User]()},
	}
}

// chunkBytes is how much of a module a record carries.
const chunkBytes = 512 << 10

// checksumDigits is the length of a package's checksum.
const checksumDigits = 12

// packageFacts are an application's chunks and then its package, so that who sees the package finds the module.
func packageFacts(a Application) (checksum string, out []fact) {
	sum := sha256.Sum256(a.Module)
	digits := hex.EncodeToString(sum[:])
	checksum = strings.ToUpper(digits[:checksumDigits])
	parts := uint32((len(a.Module) + chunkBytes - 1) / chunkBytes)
	for part := range parts {
		data := a.Module[part*chunkBytes : min(len(a.Module), int(part+1)*chunkBytes)]
		out = append(out, fact{topics.CpiChunks, fmt.Sprintf("%s/%08d", digits, part), &cpiv1.Chunk{
			Sha256: sum[:], Part: part, Parts: parts, Data: data,
		}, schemas.Codec[*cpiv1.Chunk]()})
	}
	module := &cpiv1.Module{Name: a.Name, Kind: cpiv1.ModuleKind_MODULE_KIND_FLOW, Sha256: sum[:], SizeBytes: uint64(len(a.Module)), Chunks: parts, Contracts: a.Contracts}
	for _, name := range a.Flows {
		module.Flows = append(module.Flows, &cpiv1.FlowClass{Name: name, Startable: true})
	}
	// There is no package file: the module stands for it.
	code := &cpiv1.Cpk{Name: a.Name, Version: "dev-" + checksum, FileSha256: sum[:], ModuleSha256S: [][]byte{sum[:]}}
	return checksum, append(out, fact{topics.CpiInfo, checksum, &cpiv1.Cpi{
		Name: a.Name, Version: code.GetVersion(), Checksum: checksum, FileSha256: sum[:], Modules: []*cpiv1.Module{module}, Cpks: []*cpiv1.Cpk{code}, VersionNumber: 1,
	}, schemas.Codec[*cpiv1.Cpi]()})
}

// vnodeFacts are the virtual nodes with a package installed.
func vnodeFacts(nodes []VirtualNode, checksum string) []fact {
	const active = vnodev1.OperationalStatus_OPERATIONAL_STATUS_ACTIVE
	var out []fact
	for _, n := range nodes {
		out = append(out, fact{topics.VirtualNodeInfo, n.ShortHash, &vnodev1.VirtualNode{
			Identity: &vnodev1.HoldingIdentity{X500Name: n.X500Name, GroupId: n.GroupID}, ShortHash: n.ShortHash,
			CpiChecksum: checksum, FlowStart: active, FlowOperation: active, Version: 1,
		}, schemas.Codec[*vnodev1.VirtualNode]()})
	}
	return out
}

// outdated returns the facts that differ from what is published, with the row version that follows the published
// one and the time of the change.
func outdated(wanted []fact, published func(topic, key string) proto.Message, nowMicros int64) []fact {
	var out []fact
	for _, f := range wanted {
		have := published(f.topic, f.key)
		msg := proto.Clone(f.msg)
		if have != nil {
			if proto.Equal(neutral(have), neutral(msg)) {
				continue
			}
			setVersion(msg, version(have)+1)
		}
		setTime(msg, nowMicros)
		f.msg = msg
		out = append(out, f)
	}
	return out
}

// neutral is a fact without row version and times.
func neutral(m proto.Message) proto.Message {
	m = proto.Clone(m)
	setVersion(m, 0)
	setTime(m, 0)
	return m
}

func version(m proto.Message) uint64 {
	switch f := m.(type) {
	case *rbacv1.User:
		return f.GetVersion()
	case *rbacv1.Credential:
		return f.GetVersion()
	case *rbacv1.Role:
		return f.GetVersion()
	case *rbacv1.Permission:
		return f.GetVersion()
	case *vnodev1.VirtualNode:
		return f.GetVersion()
	case *cpiv1.Cpi:
		return f.GetVersionNumber()
	default:
		return 0
	}
}

func setVersion(m proto.Message, v uint64) {
	switch f := m.(type) {
	case *rbacv1.User:
		f.Version = v
	case *rbacv1.Credential:
		f.Version = v
	case *rbacv1.Role:
		f.Version = v
	case *rbacv1.Permission:
		f.Version = v
	case *vnodev1.VirtualNode:
		f.Version = v
	case *cpiv1.Cpi:
		f.VersionNumber = v
	}
}

func setTime(m proto.Message, us int64) {
	switch f := m.(type) {
	case *rbacv1.User:
		f.UpdatedAtUs = us
	case *vnodev1.VirtualNode:
		f.CreatedAtUs = us
	case *cpiv1.Cpi:
		f.UploadedAtUs = us
	}
}
