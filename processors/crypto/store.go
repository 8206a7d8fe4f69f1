package crypto

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
	"github.com/fairleadio/fairlead/topics"
)

// The rows of the store: a key under its alias, and again under its id. A tenant is part of both keys, and requests that
// make or list keys are keyed by it, so that all of a tenant's rows lie in one partition. NUL ends a tenant: no tenant's
// rows begin as another's.
func aliasRow(tenant, alias string) string { return "a\x00" + tenant + "\x00" + alias }
func idRow(tenant, keyID string) string    { return "i\x00" + tenant + "\x00" + keyID }

func loadRow(ctx engine.Context, key string) (*cryptov1.KeyReservation, error) {
	raw := ctx.Store(topics.CryptoKeysStore).Get([]byte(key))
	if raw == nil {
		return nil, nil
	}
	return decodeRow(raw)
}

func decodeRow(raw []byte) (*cryptov1.KeyReservation, error) {
	row := &cryptov1.KeyReservation{}
	if err := proto.Unmarshal(raw, row); err != nil {
		return nil, fmt.Errorf("crypto: read a row of the store %s: %w", topics.CryptoKeysStore, err)
	}
	return row, nil
}

// loadTenant returns a tenant's keys in the order of their aliases.
func loadTenant(ctx engine.Context, tenant string) ([]*cryptov1.Key, error) {
	var out []*cryptov1.Key
	for _, raw := range ctx.Store(topics.CryptoKeysStore).Scan([]byte(aliasRow(tenant, ""))) {
		row, err := decodeRow(raw)
		if err != nil {
			return nil, err
		}
		out = append(out, row.GetKey())
	}
	return out, nil
}

// reserve writes both rows of a key.
func reserve(ctx engine.Context, key *cryptov1.Key) error {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(&cryptov1.KeyReservation{Key: key, Active: true})
	if err != nil {
		return fmt.Errorf("crypto: write a row of the store %s: %w", topics.CryptoKeysStore, err)
	}
	store := ctx.Store(topics.CryptoKeysStore)
	store.Set([]byte(aliasRow(key.GetTenant(), key.GetAlias())), raw)
	store.Set([]byte(idRow(key.GetTenant(), key.GetKeyId())), raw)
	return nil
}
