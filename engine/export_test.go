package engine

import "time"

// Clock is a partition's clock, for tests.
type Clock struct{ c clock }

// NewClock is a clock as a new owner takes it over.
func NewClock(last int64) *Clock { return &Clock{clock{last: last, set: time.Now()}} }

// Tick is a transaction that commits.
func (c *Clock) Tick(wall int64) int64 {
	c.c.begin(wall)
	c.c.commit()
	return c.c.last
}

// Until is how long it takes until due.
func (c *Clock) Until(due, wall int64) time.Duration { return c.c.until(due, wall) }

// CopyPrefix is where a session keeps its copy of a table that the group looks up or joins.
func CopyPrefix(e *Engine, session int, topic string) string {
	c, err := newCopiedStorage(e, session, topic, 0)
	if err != nil {
		return err.Error()
	}
	return string(c.prefix)
}
