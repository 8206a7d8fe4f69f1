package clusterdb

import (
	"context"

	"github.com/fairleadio/fairlead/internal/postgres"
	configv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/config/v1"
)

// Config returns a section, nil when nobody changed it yet, and locks the row.
func Config(ctx context.Context, q postgres.Queryer, section string) (*configv1.Configuration, error) {
	c := &configv1.Configuration{Section: section}
	err := q.One(ctx, []any{&c.Version, &c.SchemaMajor, &c.SchemaMinor, &c.Source, &c.Value, &c.UpdatedAtUs, &c.UpdatedBy},
		"SELECT version, schema_major, schema_minor, source, value, updated_at, updated_by FROM config WHERE section = $1 FOR UPDATE", section)
	return found(c, err)
}

// PutConfig writes a section. Sealed is the source with its secrets, nil when it has none.
func PutConfig(ctx context.Context, q postgres.Queryer, c *configv1.Configuration, sealed []byte) error {
	_, err := q.Exec(ctx, `INSERT INTO config (section, version, schema_major, schema_minor, source, value, sealed, updated_at, updated_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (section) DO UPDATE SET version = $2, schema_major = $3, schema_minor = $4, source = $5,
		value = $6, sealed = $7, updated_at = $8, updated_by = $9`,
		c.GetSection(), int64(c.GetVersion()), int32(c.GetSchemaMajor()), int32(c.GetSchemaMinor()), c.GetSource(), c.GetValue(), sealed, c.GetUpdatedAtUs(), c.GetUpdatedBy())
	return err
}
