package rbac

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"time"
)

// Cache remembers verified pairs of login and password for a short time, under a key that only this process has.
// The stored hash is part of an entry's name: when the credential changes, its entries can no longer be found.
type Cache struct {
	key   [32]byte
	ttl   time.Duration
	bound int

	mu      sync.Mutex
	entries map[[32]byte]time.Time
	byLogin map[string][][32]byte
}

// NewCache keeps at most bound pairs, each for ttl.
func NewCache(ttl time.Duration, bound int) (*Cache, error) {
	c := &Cache{ttl: ttl, bound: bound, entries: map[[32]byte]time.Time{}, byLogin: map[string][][32]byte{}}
	if _, err := rand.Read(c.key[:]); err != nil {
		return nil, fmt.Errorf("making the cache's key: %w", err)
	}
	return c, nil
}

func (c *Cache) name(login, password, hash string) [32]byte {
	m := hmac.New(sha256.New, c.key[:])
	for _, s := range []string{login, password, hash} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		m.Write(n[:])
		m.Write([]byte(s))
	}
	return [32]byte(m.Sum(nil))
}

// Has tells whether this pair was verified against this hash lately.
func (c *Cache) Has(login, password, hash string, now time.Time) bool {
	name := c.name(login, password, hash)
	c.mu.Lock()
	defer c.mu.Unlock()
	until, ok := c.entries[name]
	return ok && now.Before(until)
}

// Add remembers a verified pair.
func (c *Cache) Add(login, password, hash string, now time.Time) {
	name := c.name(login, password, hash)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) >= c.bound {
		clear(c.entries)
		clear(c.byLogin)
	}
	if _, ok := c.entries[name]; !ok {
		c.byLogin[login] = append(c.byLogin[login], name)
	}
	c.entries[name] = now.Add(c.ttl)
}

// Drop forgets the pairs of a login; call it when the user or the credential changed.
func (c *Cache) Drop(login string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range c.byLogin[login] {
		delete(c.entries, name)
	}
	delete(c.byLogin, login)
}
