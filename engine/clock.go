package engine

import "time"

// clock is a partition's time: part of the log, the same for all callbacks of a transaction, and never going back,
// whatever the wall clocks of its owners do.
//
// A wall clock behind it (it was set back, or the last owner's was wrong) does not stop it, for then every timer and
// retry would wait until the wall clock has caught up: it goes on at half speed until then.
type clock struct {
	// now is the time of the running transaction, last of the newest one that committed; microseconds.
	now, last int64
	// set is when last was taken, or the partition; it is used for differences only.
	set   time.Time
	began bool
	// width is how many microseconds a transaction has for itself.
	width int64
}

// time is what a transaction that began at this wall time would have as its now.
func (c *clock) time(wall int64) int64 {
	ahead := max(1, c.width)
	if !c.set.IsZero() {
		ahead = max(ahead, time.Since(c.set).Microseconds()/2)
	}
	return max(wall, c.last+ahead)
}

// until is how long it takes, at most, until the clock shows due.
func (c *clock) until(due, wall int64) time.Duration {
	left := due - c.time(wall)
	if c.time(wall) > wall {
		left *= 2
	}
	return max(0, time.Duration(left)*time.Microsecond)
}

// begin fixes the time of a transaction.
func (c *clock) begin(wall int64) {
	if !c.began {
		c.began = true
		c.now = c.time(wall)
	}
}

func (c *clock) commit() {
	if c.began {
		c.last, c.set = c.now, time.Now()
	}
	c.began = false
}

func (c *clock) abort() { c.began = false }
