package clusterdb

import (
	"context"

	"github.com/fairleadio/fairlead/internal/postgres"
)

// PutCertificate stores a chain; it replaces the one with the same usage, virtual node and alias.
func PutCertificate(ctx context.Context, q postgres.Queryer, usage, vnode, alias, chain string, nowUs int64) error {
	_, err := q.Exec(ctx, `INSERT INTO certificate (usage, vnode, alias, chain, version, updated_at) VALUES ($1, $2, $3, $4, 1, $5)
		ON CONFLICT (usage, vnode, alias) DO UPDATE SET chain = $4, version = certificate.version + 1, updated_at = $5`, usage, vnode, alias, chain, nowUs)
	return err
}

// Certificate returns a chain, nil when there is none.
func Certificate(ctx context.Context, q postgres.Queryer, usage, vnode, alias string) (*string, error) {
	var chain string
	return found(&chain, q.One(ctx, []any{&chain}, "SELECT chain FROM certificate WHERE usage = $1 AND vnode = $2 AND alias = $3", usage, vnode, alias))
}

// CertificateAliases returns the aliases of a usage, sorted.
func CertificateAliases(ctx context.Context, q postgres.Queryer, usage, vnode string) ([]string, error) {
	return texts(ctx, q, "SELECT alias FROM certificate WHERE usage = $1 AND vnode = $2 ORDER BY alias", usage, vnode)
}

// CertificateChains returns the chains of a usage of the whole cluster.
func CertificateChains(ctx context.Context, q postgres.Queryer, usage string) ([]string, error) {
	return texts(ctx, q, "SELECT chain FROM certificate WHERE usage = $1 AND vnode = '' ORDER BY alias", usage)
}
