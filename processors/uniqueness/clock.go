package uniqueness

import "sync"

// clocks make, of the engine's time, which is one for all of a transaction, a time for each decision: they are counted in
// nanoseconds from the engine's time on, within the microseconds that the transaction has for itself (engine.Config.NowWidth).
// These never come again in a partition, whoever has it, so neither does a decision's time.
type clocks struct {
	mu   sync.Mutex
	last map[int32]int64 // the last time given, by partition
}

// next returns the time of the partition's next decision in a transaction of this time; false when the transaction has no more.
func (c *clocks) next(partition int32, nowUs int64) (ns int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ns = nowUs * nanos
	if last := c.last[partition]; last >= ns && last/nanos < nowUs+width {
		ns = last + 1
	}
	if ns/nanos >= nowUs+width {
		return 0, false
	}
	if c.last == nil {
		c.last = map[int32]int64{}
	}
	c.last[partition] = ns
	return ns, true
}

// forget is for a partition whose transaction was aborted, or that went to another process or came from one: what was
// given there is nobody's, or in another microsecond.
func (c *clocks) forget(partition int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.last, partition)
}
