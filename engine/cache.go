package engine

// cacheLimit bounds the cache of one partition of one topic, in bytes of keys and values.
const cacheLimit = 4 << 20

// cache holds values by key, those that were asked for or written lately. It has two halves: when the young one is full, it
// becomes the old one, and what nobody has asked for since the last time is forgotten.
type cache struct {
	young, old map[string][]byte
	bytes      int // of the young half
}

func (c *cache) get(key string) ([]byte, bool) {
	if v, ok := c.young[key]; ok {
		return v, true
	}
	v, ok := c.old[key]
	if ok {
		c.put(key, v)
	}
	return v, ok
}

func (c *cache) put(key string, value []byte) {
	size := len(key) + len(value)
	if size > cacheLimit/16 {
		c.forget(key)
		return
	}
	if c.bytes+size > cacheLimit/2 {
		c.old, c.young, c.bytes = c.young, nil, 0
	}
	if c.young == nil {
		c.young = map[string][]byte{}
	}
	// A value that is replaced counts until the half is full: looking for it would cost more than it saves.
	c.young[key] = value
	c.bytes += size
}

func (c *cache) forget(key string) {
	delete(c.young, key)
	delete(c.old, key)
}
