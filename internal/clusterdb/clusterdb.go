package clusterdb

import (
	"context"
	"embed"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/postgres"
)

//go:embed schema/*.sql
var files embed.FS

// Schema is where the tables lie. Pools of this database must have it as search path.
const Schema = "fairlead"

// Migrator brings the cluster's tables to this version.
func Migrator() (postgres.Migrator, error) {
	m, err := postgres.ReadMigrations(files, "schema")
	return postgres.Migrator{Schema: Schema, Set: "cluster", Migrations: m}, err
}

// ClusterID returns the cluster's own id, a UUID.
func ClusterID(ctx context.Context, q postgres.Queryer) (string, error) {
	var id string
	err := q.One(ctx, []any{&id}, "SELECT id::text FROM cluster")
	return id, err
}

// found turns ErrNoRows into nil: a row that is not there is nil.
func found[T any](v *T, err error) (*T, error) {
	if errors.Is(err, postgres.ErrNoRows) {
		return nil, nil //nolint:nilnil // nil is the row that is not there
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

func unmarshal[T proto.Message](what string, b []byte, m T) (T, error) {
	if err := proto.Unmarshal(b, m); err != nil {
		return m, fmt.Errorf("read %s from the database: %w", what, err)
	}
	return m, nil
}

func marshal(m proto.Message) ([]byte, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", m.ProtoReflect().Descriptor().FullName(), err)
	}
	return b, nil
}

// texts reads a column of texts.
func texts(ctx context.Context, q postgres.Queryer, sql string, args ...any) ([]string, error) {
	var out []string
	err := q.Each(ctx, func(r postgres.Row) error {
		var s string
		if err := r.Scan(&s); err != nil {
			return fmt.Errorf("read a text: %w", err)
		}
		out = append(out, s)
		return nil
	}, sql, args...)
	return out, err
}
