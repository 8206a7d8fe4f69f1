package engine

import "testing"

// The next transaction's time is past all that the last one had for itself, whatever the wall clock says.
func TestNowWidth(t *testing.T) {
	c := clock{width: 5}
	last := int64(0)
	for _, wall := range []int64{100, 100, 101, 90, 500} {
		c.begin(wall)
		if c.now < last+5 || c.now < wall {
			t.Errorf("at %d by the wall clock it is %d, after %d", wall, c.now, last)
		}
		last = c.now
		c.commit()
	}
}
