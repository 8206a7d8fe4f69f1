package tokens

import "sync"

// maxLive is how many pools of a partition are kept in memory.
const maxLive = 200

// live are pools in memory, so that they need not be read for every record. What is not here is read from the store: a
// pool leaves when a record begins and comes back when all that it asked for is done, and with every transaction that is
// undone it goes.
type live struct {
	mu    sync.Mutex
	pools map[int32]map[string]Pool
}

func (l *live) take(partition int32, key string) (Pool, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.pools[partition][key]
	delete(l.pools[partition], key)
	return p, ok
}

func (l *live) put(partition int32, key string, p Pool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pools == nil {
		l.pools = map[int32]map[string]Pool{}
	}
	if l.pools[partition] == nil || len(l.pools[partition]) >= maxLive {
		l.pools[partition] = map[string]Pool{}
	}
	l.pools[partition][key] = p
}

func (l *live) drop(partition int32, key string) { _, _ = l.take(partition, key) }

func (l *live) dropAll(partition int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pools, partition)
}
