package clusterdb

import (
	"context"
	"fmt"

	"github.com/fairleadio/fairlead/internal/postgres"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
)

// PutUploadPart keeps a part of a file on its way in.
func PutUploadPart(ctx context.Context, q postgres.Queryer, request string, part uint32, data []byte) error {
	_, err := q.Exec(ctx, "INSERT INTO cpi_upload (request_id, part, data) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", request, int32(part), data)
	return err
}

// UploadParts tells how many parts of a file are there when this one is.
func UploadParts(ctx context.Context, q postgres.Queryer, request string, with uint32) (uint32, error) {
	var n int32
	err := q.One(ctx, []any{&n}, "SELECT count(*)::int + 1 FROM cpi_upload WHERE request_id = $1 AND part <> $2", request, int32(with))
	return uint32(n), err
}

// UploadedFile returns a file as a whole.
func UploadedFile(ctx context.Context, q postgres.Queryer, request string) ([]byte, error) {
	var out []byte
	err := q.Each(ctx, func(r postgres.Row) error {
		var part []byte
		if err := r.Scan(&part); err != nil {
			return fmt.Errorf("read a part: %w", err)
		}
		out = append(out, part...)
		return nil
	}, "SELECT data FROM cpi_upload WHERE request_id = $1 ORDER BY part", request)
	return out, err
}

// DropUpload forgets the parts of a file.
func DropUpload(ctx context.Context, q postgres.Queryer, request string) error {
	_, err := q.Exec(ctx, "DELETE FROM cpi_upload WHERE request_id = $1", request)
	return err
}

// Cpi returns a package, nil when there is none.
func Cpi(ctx context.Context, q postgres.Queryer, checksum string) (*cpiv1.Cpi, error) {
	var b []byte
	var version int64
	got, err := found(&b, q.One(ctx, []any{&b, &version}, "SELECT info, version FROM cpi WHERE checksum = $1 AND replaced_by = ''", checksum))
	if got == nil {
		return nil, err
	}
	c, err := unmarshal("a package", b, &cpiv1.Cpi{})
	c.VersionNumber = uint64(version)
	return c, err
}

// CpisNamed returns the packages of a name and version, whoever signed them, the newest first.
func CpisNamed(ctx context.Context, q postgres.Queryer, name, version string) ([]*cpiv1.Cpi, error) {
	var out []*cpiv1.Cpi
	err := q.Each(ctx, func(r postgres.Row) error {
		var b []byte
		if err := r.Scan(&b); err != nil {
			return fmt.Errorf("read a package: %w", err)
		}
		c, err := unmarshal("a package", b, &cpiv1.Cpi{})
		out = append(out, c)
		return err
	}, "SELECT info FROM cpi WHERE name = $1 AND package_version = $2 AND replaced_by = '' ORDER BY uploaded_at DESC", name, version)
	return out, err
}

// PutCpi writes a package.
func PutCpi(ctx context.Context, q postgres.Queryer, c *cpiv1.Cpi, by string) error {
	b, err := marshal(c)
	if err != nil {
		return err
	}
	_, err = q.Exec(ctx, `INSERT INTO cpi (checksum, name, package_version, signer_summary_hash, group_id, info, version, uploaded_at, uploaded_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (checksum) DO UPDATE SET info = $6, version = $7, replaced_by = ''`,
		c.GetChecksum(), c.GetName(), c.GetVersion(), c.GetSignerSummaryHash(), c.GetGroupId(), b, int64(c.GetVersionNumber()), c.GetUploadedAtUs(), by)
	return err
}

// CpiVersion returns the row version that the next writing of a package must have, also of one that was replaced.
func CpiVersion(ctx context.Context, q postgres.Queryer, checksum string) (uint64, error) {
	var v int64
	err := q.One(ctx, []any{&v}, "SELECT coalesce(max(version), 0) + 1 FROM cpi WHERE checksum = $1", checksum)
	return uint64(v), err
}

// ReplaceCpi marks a package as replaced by another of its name and version.
func ReplaceCpi(ctx context.Context, q postgres.Queryer, old, by string) error {
	_, err := q.Exec(ctx, "UPDATE cpi SET replaced_by = $2, version = version + 1 WHERE checksum = $1", old, by)
	return err
}

// PutChunk keeps a part of a module.
func PutChunk(ctx context.Context, q postgres.Queryer, key string, c *cpiv1.Chunk) error {
	b, err := marshal(c)
	if err != nil {
		return err
	}
	_, err = q.Exec(ctx, "INSERT INTO cpi_chunk (key, data) VALUES ($1, $2) ON CONFLICT DO NOTHING", key, b)
	return err
}

// Chunk returns a part of a module, nil when there is none.
func Chunk(ctx context.Context, q postgres.Queryer, key string) (*cpiv1.Chunk, error) {
	var b []byte
	got, err := found(&b, q.One(ctx, []any{&b}, "SELECT data FROM cpi_chunk WHERE key = $1", key))
	if got == nil {
		return nil, err
	}
	return unmarshal("a part of a module", b, &cpiv1.Chunk{})
}

// Migrations are the migrations of one CPK.
type Migrations struct {
	Cpk  string
	List []postgres.Migration
}

// PutMigrations keeps the text of a package's migrations.
func PutMigrations(ctx context.Context, q postgres.Queryer, checksum string, all []Migrations) error {
	if _, err := q.Exec(ctx, "DELETE FROM cpi_migration WHERE checksum = $1", checksum); err != nil {
		return err
	}
	for _, m := range all {
		for i, x := range m.List {
			if _, err := q.Exec(ctx, "INSERT INTO cpi_migration (checksum, cpk, place, name, sql) VALUES ($1, $2, $3, $4, $5)", checksum, m.Cpk, i, x.Name, x.SQL); err != nil {
				return err
			}
		}
	}
	return nil
}

// CpiMigrations returns the migrations of a package, CPK by CPK in the order of their names.
func CpiMigrations(ctx context.Context, q postgres.Queryer, checksum string) ([]Migrations, error) {
	var out []Migrations
	err := q.Each(ctx, func(r postgres.Row) error {
		var cpk string
		var m postgres.Migration
		if err := r.Scan(&cpk, &m.Name, &m.SQL); err != nil {
			return fmt.Errorf("read a migration: %w", err)
		}
		if n := len(out); n == 0 || out[n-1].Cpk != cpk {
			out = append(out, Migrations{Cpk: cpk})
		}
		last := &out[len(out)-1]
		last.List = append(last.List, m)
		return nil
	}, "SELECT cpk, name, sql FROM cpi_migration WHERE checksum = $1 ORDER BY cpk, place", checksum)
	return out, err
}
