package clusterdb

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/fairleadio/fairlead/internal/postgres"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
)

// CodeKey names a package of code in tables and on topic cpk.info: the SHA-256 of its file in upper-case hex.
func CodeKey(sha256 []byte) string { return strings.ToUpper(hex.EncodeToString(sha256)) }

// Code returns a package of code, nil when there is none.
func Code(ctx context.Context, q postgres.Queryer, key string) (*cpiv1.Code, error) {
	var b []byte
	got, err := found(&b, q.One(ctx, []any{&b}, "SELECT info FROM code WHERE sha256 = $1", key))
	if got == nil {
		return nil, err
	}
	return unmarshal("a package of code", b, &cpiv1.Code{})
}

// PutCode writes a package of code; by is the virtual node whose flow took it from another party, empty when an operator
// uploaded it. One that is there stays as it is, for a file has one content; but one that an operator uploads counts as
// received by nobody from then on.
func PutCode(ctx context.Context, q postgres.Queryer, c *cpiv1.Code, by string) error {
	b, err := marshal(c)
	if err != nil {
		return err
	}
	_, err = q.Exec(ctx, `INSERT INTO code (sha256, info, size_bytes, received_by) VALUES ($1, $2, $3, $4)
		ON CONFLICT (sha256) DO UPDATE SET received_by = '' WHERE $4 = ''`, CodeKey(c.GetCpk().GetFileSha256()), b, int64(c.GetSizeBytes()), by)
	return err
}

// ReceivedBytes is how large the packages are together that flows of a virtual node took from other parties.
func ReceivedBytes(ctx context.Context, q postgres.Queryer, vnode string) (uint64, error) {
	var n int64
	err := q.One(ctx, []any{&n}, "SELECT coalesce(sum(size_bytes), 0)::bigint FROM code WHERE received_by = $1 AND received_by <> ''", vnode)
	return uint64(n), err
}

// PutCodePart keeps a part of a package's file.
func PutCodePart(ctx context.Context, q postgres.Queryer, key string, part uint32, data []byte) error {
	_, err := q.Exec(ctx, "INSERT INTO code_part (sha256, part, data) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", key, int32(part), data)
	return err
}

// CodePart returns a part of a package's file, nil when there is none.
func CodePart(ctx context.Context, q postgres.Queryer, key string, part uint32) ([]byte, error) {
	var b []byte
	got, err := found(&b, q.One(ctx, []any{&b}, "SELECT data FROM code_part WHERE sha256 = $1 AND part = $2", key, int32(part)))
	if got == nil {
		return nil, err
	}
	return b, nil
}

// CodeFiles returns which of some files, by [CodeKey], the cluster verifies by: packages of code, and those of CPIs that were
// uploaded before packages of code were kept.
func CodeFiles(ctx context.Context, q postgres.Queryer, keys []string) (map[string]bool, error) {
	have := map[string]bool{}
	for _, key := range keys {
		c, err := Code(ctx, q, key)
		if err != nil {
			return nil, err
		}
		telling := false
		if c != nil {
			if telling, err = CodeTelling(ctx, q, key); err != nil {
				return nil, err
			}
		}
		have[key] = c != nil && !telling
	}
	err := q.Each(ctx, func(r postgres.Row) error {
		var b []byte
		if err := r.Scan(&b); err != nil {
			return fmt.Errorf("read a package: %w", err)
		}
		c, err := unmarshal("a package", b, &cpiv1.Cpi{})
		for _, k := range c.GetCpks() {
			if key := CodeKey(k.GetFileSha256()); err == nil {
				if _, asked := have[key]; asked {
					have[key] = true
				}
			}
		}
		return err
	}, "SELECT info FROM cpi WHERE replaced_by = ''")
	return have, err
}

// CodeTelling tells whether a package that a flow brought may be stored, and not yet told to those who verify by it.
func CodeTelling(ctx context.Context, q postgres.Queryer, key string) (telling bool, err error) {
	err = q.One(ctx, []any{&telling}, "SELECT EXISTS (SELECT FROM operation WHERE NOT final AND entity = $1 AND request_id LIKE 'package/%')", key)
	return telling, err
}

// PutGivenPart keeps a part of a package that a flow of a virtual node hands over.
func PutGivenPart(ctx context.Context, q postgres.Queryer, request, vnode string, part uint32, data []byte) error {
	_, err := q.Exec(ctx, "INSERT INTO cpi_upload (request_id, part, data, vnode) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING", request, int32(part), data, vnode)
	return err
}

// silentFor is how long a flow that hands over a package may be silent until it no longer counts as bringing it.
const silentFor = 2 * time.Minute

// GivenEarlier tells whether another request than one hands over the same file, by [CodeKey], for the same virtual node, began
// earlier, and has not been silent since. Requests end with the file's key.
func GivenEarlier(ctx context.Context, q postgres.Queryer, request, vnode, key string) (there bool, err error) {
	err = q.One(ctx, []any{&there}, `SELECT EXISTS (SELECT FROM cpi_upload u WHERE vnode = $2 AND vnode <> '' AND part = 0 AND request_id <> $1
		AND right(request_id, length($3)) = $3 AND at < coalesce((SELECT at FROM cpi_upload WHERE request_id = $1 AND part = 0), 'infinity')
		AND (SELECT max(at) FROM cpi_upload WHERE request_id = u.request_id) > $4)`, request, vnode, key, time.Now().Add(-silentFor))
	return there, err
}

// GivenBytes is how many bytes of packages that are not whole yet the flows of a virtual node have handed over.
func GivenBytes(ctx context.Context, q postgres.Queryer, vnode string) (uint64, error) {
	var n int64
	err := q.One(ctx, []any{&n}, "SELECT coalesce(sum(length(data)), 0)::bigint FROM cpi_upload WHERE vnode = $1 AND vnode <> ''", vnode)
	return uint64(n), err
}
