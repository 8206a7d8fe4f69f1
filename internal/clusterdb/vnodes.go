package clusterdb

import (
	"context"
	"fmt"

	"github.com/fairleadio/fairlead/internal/postgres"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
)

// VirtualNode returns a virtual node, nil when there is none, and locks the row.
func VirtualNode(ctx context.Context, q postgres.Queryer, shortHash string) (*vnodev1.VirtualNode, error) {
	var b []byte
	got, err := found(&b, q.One(ctx, []any{&b}, "SELECT info FROM virtual_node WHERE short_hash = $1 FOR UPDATE", shortHash))
	if got == nil {
		return nil, err
	}
	return unmarshal("a virtual node", b, &vnodev1.VirtualNode{})
}

// VirtualNodesOf returns the short hashes of the virtual nodes that have a package.
func VirtualNodesOf(ctx context.Context, q postgres.Queryer, checksum string) ([]string, error) {
	return texts(ctx, q, "SELECT short_hash FROM virtual_node WHERE cpi_checksum = $1 ORDER BY short_hash", checksum)
}

// PutVirtualNode writes a virtual node.
func PutVirtualNode(ctx context.Context, q postgres.Queryer, v *vnodev1.VirtualNode) error {
	b, err := marshal(v)
	if err != nil {
		return err
	}
	_, err = q.Exec(ctx, `INSERT INTO virtual_node (short_hash, x500_name, group_id, cpi_checksum, info, version, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (short_hash) DO UPDATE SET cpi_checksum = $4, info = $5, version = $6`,
		v.GetShortHash(), v.GetIdentity().GetX500Name(), v.GetIdentity().GetGroupId(), v.GetCpiChecksum(), b, int64(v.GetVersion()), v.GetCreatedAtUs())
	return err
}

// Role says what a virtual node's connection is for.
type RoleName string

// The roles of a virtual node's schema.
const (
	// DDL runs the application's migrations.
	DDL RoleName = "ddl"
	// DML reads and writes data.
	DML RoleName = "dml"
)

// VaultConnection is how a role reaches the schema of a virtual node.
type VaultConnection struct {
	Role RoleName
	// Login is the name of the role in the server.
	Login string
	// Address is a postgres URL without credentials; empty: the cluster's own database of virtual nodes.
	Address string
	Schema  string
	// Password is sealed; [Place] names its place.
	Password []byte
}

// Place is the associated data of a sealed password: see package seal.
func Place(shortHash string, role RoleName) []string {
	return []string{"vault", shortHash, string(role)}
}

// Connection returns how a role reaches a virtual node's schema, nil when it cannot: an administrator runs the
// migrations then.
func Connection(ctx context.Context, q postgres.Queryer, shortHash string, role RoleName) (*VaultConnection, error) {
	c := &VaultConnection{Role: role}
	return found(c, q.One(ctx, []any{&c.Login, &c.Address, &c.Schema, &c.Password},
		"SELECT login_name, address, schema, password FROM vnode_connection WHERE short_hash = $1 AND role = $2", shortHash, string(role)))
}

// VaultSchema is where the data of a virtual node lies.
type VaultSchema struct {
	ShortHash, Checksum string
	// Busy: an operation is under way.
	Busy bool
	// Address is empty for the cluster's own database of virtual nodes.
	Address, Schema string
}

// VaultSchemas returns the schemas of all virtual nodes, by short hash. It locks nothing.
func VaultSchemas(ctx context.Context, q postgres.Queryer) ([]VaultSchema, error) {
	var out []VaultSchema
	err := q.Each(ctx, func(r postgres.Row) error {
		var s VaultSchema
		var b []byte
		if err := r.Scan(&s.ShortHash, &s.Checksum, &b, &s.Address, &s.Schema); err != nil {
			return err
		}
		v, err := unmarshal("a virtual node", b, &vnodev1.VirtualNode{})
		if err != nil {
			return err
		}
		s.Busy = v.GetOperationInProgress() != ""
		out = append(out, s)
		return nil
	}, `SELECT v.short_hash, v.cpi_checksum, v.info, c.address, c.schema
	    FROM virtual_node v JOIN vnode_connection c ON c.short_hash = v.short_hash AND c.role = $1 ORDER BY v.short_hash`, string(DML))
	return out, err
}

// SchemaUsers returns the virtual nodes whose data lies in a schema at an address, as they were given.
func SchemaUsers(ctx context.Context, q postgres.Queryer, address, schema string) ([]string, error) {
	return texts(ctx, q, "SELECT DISTINCT short_hash FROM vnode_connection WHERE address = $1 AND schema = $2 ORDER BY short_hash", address, schema)
}

// PutConnection writes how a role reaches a virtual node's schema.
func PutConnection(ctx context.Context, q postgres.Queryer, shortHash string, c *VaultConnection) error {
	_, err := q.Exec(ctx, `INSERT INTO vnode_connection (short_hash, role, login_name, address, schema, password) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (short_hash, role) DO UPDATE SET login_name = $3, address = $4, schema = $5, password = $6, changed_at = now()`,
		shortHash, string(c.Role), c.Login, c.Address, c.Schema, c.Password)
	if err != nil {
		return fmt.Errorf("keep the connection of %s: %w", shortHash, err)
	}
	return nil
}

// DropConnection forgets how a role reaches a virtual node's schema.
func DropConnection(ctx context.Context, q postgres.Queryer, shortHash string, role RoleName) error {
	_, err := q.Exec(ctx, "DELETE FROM vnode_connection WHERE short_hash = $1 AND role = $2", shortHash, string(role))
	return err
}
