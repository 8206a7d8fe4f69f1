package verification

import (
	"crypto/sha256"
	"fmt"
	"sync"

	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	verificationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/verification/v1"
)

// cacheKey is a transaction's id, as in a record's key, and the packages and own contracts that a request names.
type cacheKey struct {
	id    string
	names [32]byte
}

func keyOf(id string, r *verificationv1.Request) cacheKey {
	h := sha256.New()
	for _, p := range r.GetPackages() {
		h.Write(p)
	}
	for _, o := range r.GetOwn() {
		fmt.Fprintf(h, "%q %x ", o.GetContract(), o.GetSigner())
	}
	return cacheKey{id, [32]byte(h.Sum(nil))}
}

// cache remembers answers, the newest of them. An answer never changes, so none is ever taken back.
type cache struct {
	mu   sync.Mutex
	most int
	all  map[cacheKey]*appv1.Verification
	ring []cacheKey // in the order in which they came; next is the oldest once it is full
	next int
}

func newCache(most int) *cache { return &cache{most: most, all: map[cacheKey]*appv1.Verification{}} }

func (c *cache) get(k cacheKey) *appv1.Verification {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all[k]
}

// put returns how many answers are there then.
func (c *cache) put(k cacheKey, v *appv1.Verification) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.all[k] != nil:
	case len(c.ring) < c.most:
		c.ring = append(c.ring, k)
	default:
		delete(c.all, c.ring[c.next])
		c.ring[c.next] = k
		c.next = (c.next + 1) % c.most
	}
	c.all[k] = v
	return len(c.all)
}
