package database

import (
	"strconv"
	"testing"
)

// A message names ten kinds of states, and says how many more there are.
func TestKindsOfLostStates(t *testing.T) {
	lost := func(n int) (out []string) {
		for i := range n {
			out = append(out, "kind "+strconv.Itoa(i))
		}
		return out
	}
	ten := "kind 0; kind 1; kind 2; kind 3; kind 4; kind 5; kind 6; kind 7; kind 8; kind 9"
	for n, want := range map[int]string{1: "kind 0", 10: ten, 11: ten + "; and 1 kinds more", 25: ten + "; and 15 kinds more"} {
		if got := kinds(lost(n)); got != want {
			t.Errorf("%d kinds: %s", n, got)
		}
	}
}
