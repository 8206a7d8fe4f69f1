package tokens

import (
	"encoding/binary"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	ledgerv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/ledger/v1"
	tokensv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/tokens/v1"
)

// Kinds of rows in store known: the first byte of their keys, which the pool's key and "/" follow.
const (
	rowToken   = 't'
	rowClaim   = 'c'
	rowWaiting = 'w'
)

func rowPrefix(kind byte, pool string) []byte {
	return append(append([]byte{kind}, pool...), '/')
}

func tokenRow(pool string, r *ledgerv1.StateRef) []byte {
	return binary.BigEndian.AppendUint32(append(rowPrefix(rowToken, pool), r.GetTransaction()...), r.GetIndex())
}

func claimRow(pool, id string) []byte { return append(rowPrefix(rowClaim, pool), id...) }

func waitingRow(pool string, place uint64) []byte {
	return binary.BigEndian.AppendUint64(rowPrefix(rowWaiting, pool), place)
}

// load reads a pool. Rows that cannot be read are left out and told: they are of a cache, or of claims, which end anyway.
func load(s engine.PartitionStore, key string, head *tokensv1.Pool, unreadable func(row []byte, err error)) Pool {
	return Pool{
		Head: head, Known: read[tokensv1.Token](s, rowPrefix(rowToken, key), unreadable), Claims: read[tokensv1.Claim](s, rowPrefix(rowClaim, key), unreadable),
		Waiting: read[tokensv1.Waiting](s, rowPrefix(rowWaiting, key), unreadable),
	}
}

func read[T any, M interface {
	*T
	proto.Message
}](s engine.PartitionStore, prefix []byte, unreadable func(row []byte, err error)) (out []M) {
	for key, value := range s.Scan(prefix) {
		m := M(new(T))
		if err := proto.Unmarshal(value, m); err != nil {
			unreadable(slices.Clone(key), fmt.Errorf("row %q of store known: %w", key, err))
			continue
		}
		out = append(out, m)
	}
	return out
}
