package rest

import (
	"context"
	"iter"
	"time"

	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	rbacv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rbac/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// View is a compacted topic in memory; [engine.View] is one.
type View interface {
	// Get returns the message under a key.
	Get(key string) (msg any, ok bool)
	// All yields the messages in the order of their keys.
	All() iter.Seq2[string, any]
	// WaitKey returns when until is true of the key's message, or when ctx ends.
	WaitKey(ctx context.Context, key string, until func(msg any, ok bool) bool) (any, error)
}

// Views are the compacted topics that the worker looks things up in.
type Views struct {
	VirtualNodes, Cpis, FlowStatus         View
	Users, Roles, Permissions, Credentials View
	Config, Operations, Keys               View
}

// byTopic returns the view of a topic, nil when there is none.
func (v Views) byTopic(topic string) View {
	return map[string]View{
		topics.VirtualNodeInfo: v.VirtualNodes, topics.CpiInfo: v.Cpis, topics.RBACUser: v.Users, topics.RBACRole: v.Roles,
		topics.RBACPermission: v.Permissions, topics.RBACCredential: v.Credentials, topics.Config: v.Config,
		topics.OperationStatus: v.Operations, topics.CryptoKeys: v.Keys,
	}[topic]
}

// Writer writes the worker's topics.
type Writer interface {
	// Start writes a start record and returns the id that the flow has if the mapper accepts it. trace is W3C trace
	// context, or empty.
	Start(ctx context.Context, key string, start *flowv1.StartFlow, trace string) (flowID string, err error)
	// Command writes a command for the flow of a status, and returns the command's id: the status names it with its
	// outcome.
	Command(ctx context.Context, flow *flowv1.FlowStatus, command *flowv1.FlowCommand, trace string) (id string, err error)
}

// Journal reads flows' journals.
type Journal interface {
	// Rows returns the live rows of a flow's journal, in any order; none when the journal is gone. The flow was
	// created at since.
	Rows(ctx context.Context, flowID string, since time.Time) ([]JournalRow, error)
}

func get[T any](v View, key string) (T, bool) {
	m, ok := v.Get(key)
	t, typed := m.(T)
	return t, ok && typed
}

// VirtualNode returns the virtual node of a short hash in upper case.
func (v Views) VirtualNode(shortHash string) (*vnodev1.VirtualNode, bool) {
	return get[*vnodev1.VirtualNode](v.VirtualNodes, shortHash)
}

// Cpi returns the package of a checksum.
func (v Views) Cpi(checksum string) (*cpiv1.Cpi, bool) { return get[*cpiv1.Cpi](v.Cpis, checksum) }

// Status returns the status of a flow.
func (v Views) Status(key string) (*flowv1.FlowStatus, bool) {
	return get[*flowv1.FlowStatus](v.FlowStatus, key)
}

// User returns the user of a login name in lower case.
func (v Views) User(login string) (*rbacv1.User, bool) { return get[*rbacv1.User](v.Users, login) }

// Credential returns the credential of a login name in lower case.
func (v Views) Credential(login string) (*rbacv1.Credential, bool) {
	return get[*rbacv1.Credential](v.Credentials, login)
}

// Role returns a role by id.
func (v Views) Role(id string) (*rbacv1.Role, bool) { return get[*rbacv1.Role](v.Roles, id) }

// Permission returns a permission by id.
func (v Views) Permission(id string) (*rbacv1.Permission, bool) {
	return get[*rbacv1.Permission](v.Permissions, id)
}

// statuses yields the statuses of all flows.
func (v Views) statuses(yield func(*flowv1.FlowStatus) bool) {
	for _, m := range v.FlowStatus.All() {
		if s, ok := m.(*flowv1.FlowStatus); ok && !yield(s) {
			return
		}
	}
}

// waitStatus returns the status of a flow as soon as until is true of it.
func (v Views) waitStatus(ctx context.Context, key string, until func(*flowv1.FlowStatus) bool) (*flowv1.FlowStatus, error) {
	m, err := v.FlowStatus.WaitKey(ctx, key, func(msg any, ok bool) bool {
		s, typed := msg.(*flowv1.FlowStatus)
		return ok && typed && until(s)
	})
	if err != nil {
		return nil, err
	}
	s, _ := m.(*flowv1.FlowStatus)
	return s, nil
}
