package crypto

import (
	"context"
	"sync"
	"time"

	"github.com/fairleadio/fairlead/internal/vault"
)

// makeTime bounds the making of a key. A busy Vault takes seconds for an RSA key, which is longer than a poll has; and one
// whose caller has gone is not made.
const makeTime = time.Minute

// making holds the keys that are being made, by name: what a poll began, the request's next run waits for.
type making struct {
	mu   sync.Mutex
	open map[string]*creation
	wg   sync.WaitGroup
}

type creation struct {
	cancel context.CancelFunc
	done   chan struct{}
	key    vault.Key
	err    error
}

// key has a key made and waits for it as long as ctx lasts; the making itself goes on.
func (m *making) key(ctx context.Context, v Vault, name string, t vault.KeyType) (vault.Key, error) {
	m.mu.Lock()
	c := m.open[name]
	if c == nil {
		c = m.begin(ctx, v, name, t)
	}
	m.mu.Unlock()
	select {
	case <-c.done:
		return c.key, c.err
	case <-ctx.Done():
		return vault.Key{}, context.Cause(ctx)
	}
}

// begin starts a making. Who asks when it is over asks Vault, which then has the key.
func (m *making) begin(ctx context.Context, v Vault, name string, t vault.KeyType) *creation {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), makeTime)
	c := &creation{cancel: cancel, done: make(chan struct{})}
	if m.open == nil {
		m.open = map[string]*creation{}
	}
	m.open[name] = c
	m.wg.Go(func() {
		defer cancel()
		c.key, c.err = v.CreateKey(ctx, name, t)
		m.mu.Lock()
		delete(m.open, name)
		m.mu.Unlock()
		close(c.done)
	})
	return c
}

// end gives up what is being made and waits for it.
func (m *making) end() {
	m.mu.Lock()
	for _, c := range m.open {
		c.cancel()
	}
	m.mu.Unlock()
	m.wg.Wait()
}
