package clusterdb

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/postgres"
	configv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/config/v1"
	rbacv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rbac/v1"
	"github.com/fairleadio/fairlead/topics"
)

// Row returns what a fact's topic should have under a key: the message and its row version. A nil message means that
// the topic should have nothing.
func Row(ctx context.Context, q postgres.Queryer, topic, key string) (proto.Message, uint64, error) {
	switch topic {
	case topics.RBACUser:
		u, _, err := User(ctx, q, key)
		return orNothing(u, u.GetVersion(), err)
	case topics.RBACCredential:
		u, c, err := User(ctx, q, key)
		if u == nil || c.GetPasswordHash() == "" {
			return nil, 0, err
		}
		return c, c.GetVersion(), err
	case topics.RBACRole:
		r, err := Role(ctx, q, key)
		return orNothing(r, r.GetVersion(), err)
	case topics.RBACPermission:
		p, err := Permission(ctx, q, key)
		return orNothing(p, p.GetVersion(), err)
	case topics.Config:
		c, err := Config(ctx, q, key)
		return orNothing(c, c.GetVersion(), err)
	case topics.CpiInfo:
		c, err := Cpi(ctx, q, key)
		return orNothing(c, c.GetVersionNumber(), err)
	case topics.CpiChunks:
		c, err := Chunk(ctx, q, key)
		return orNothing(c, 1, err)
	case topics.CpkInfo:
		c, err := Code(ctx, q, key)
		return orNothing(c, 1, err)
	case topics.VirtualNodeInfo:
		v, err := VirtualNode(ctx, q, key)
		return orNothing(v, v.GetVersion(), err)
	case topics.OperationStatus:
		o, err := GetOperation(ctx, q, key)
		if o == nil {
			return nil, 0, err
		}
		return o.Status, o.Status.GetVersion(), err
	default:
		return nil, 0, fmt.Errorf("topic %s is not one that the database worker writes", topic)
	}
}

// orNothing keeps a nil pointer from becoming a message.
func orNothing[T any, M interface {
	*T
	proto.Message
}](m M, version uint64, err error) (proto.Message, uint64, error) {
	if m == nil || err != nil {
		return nil, 0, err
	}
	return m, version, nil
}

// Versions returns the keys and row versions that a fact's topic should have.
func Versions(ctx context.Context, q postgres.Queryer, topic string) (map[string]uint64, error) {
	tables := map[string]string{
		topics.RBACUser:        "SELECT login_name, version FROM rbac_user",
		topics.RBACCredential:  "SELECT login_name, credential_version FROM rbac_user WHERE password_hash <> ''",
		topics.RBACRole:        "SELECT id, version FROM rbac_role",
		topics.RBACPermission:  "SELECT id, version FROM rbac_permission",
		topics.Config:          "SELECT section, version FROM config",
		topics.CpiInfo:         "SELECT checksum, version FROM cpi WHERE replaced_by = ''",
		topics.CpiChunks:       "SELECT key, 1::bigint FROM cpi_chunk",
		topics.CpkInfo:         "SELECT sha256, 1::bigint FROM code",
		topics.VirtualNodeInfo: "SELECT short_hash, version FROM virtual_node",
	}
	sql, ok := tables[topic]
	if !ok {
		return nil, fmt.Errorf("topic %s is not one that is reconciled", topic)
	}
	out := map[string]uint64{}
	err := q.Each(ctx, func(r postgres.Row) error {
		var key string
		var version int64
		if err := r.Scan(&key, &version); err != nil {
			return fmt.Errorf("read a version: %w", err)
		}
		out[key] = uint64(version)
		return nil
	}, sql)
	return out, err
}

// VersionOf returns the row version that a published fact carries.
func VersionOf(m any) uint64 {
	switch f := m.(type) {
	case *rbacv1.User:
		return f.GetVersion()
	case *rbacv1.Credential:
		return f.GetVersion()
	case *rbacv1.Role:
		return f.GetVersion()
	case *rbacv1.Permission:
		return f.GetVersion()
	case *configv1.Configuration:
		return f.GetVersion()
	case interface{ GetVersionNumber() uint64 }:
		return f.GetVersionNumber()
	case interface{ GetVersion() uint64 }:
		return f.GetVersion()
	default:
		return 1 // parts of modules and packages of code never change
	}
}
