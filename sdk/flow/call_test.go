package flow

import (
	"testing"

	"github.com/fairleadio/fairlead/sdk/internal/wire"
)

// What does not fit into one step is cut, and what the other side waits for goes first.
func TestSteps(t *testing.T) {
	send := func(n int) wanted {
		return wanted{nil, asked{operation: &wire.SendMessage{Payload: make([]byte, n)}}}
	}
	receive := wanted{nil, asked{operation: &wire.ReceiveMessage{}}}
	many := func(n int, w wanted) (out []wanted) {
		for range n {
			out = append(out, w)
		}
		return out
	}
	for _, c := range []struct {
		name string
		turn []wanted
		want []int
	}{
		{"one", []wanted{receive}, []int{1}},
		{"all that fits", append(many(7, receive), send(500<<10)), []int{8}},
		{"large", []wanted{send(500 << 10), send(500 << 10), send(100)}, []int{1, 2}},
		{"many that bring", many(20, receive), []int{7, 7, 6}},
		{"sends first", append(many(8, receive), send(10)), []int{8, 1}},
		{"a thousand", many(600, send(1)), []int{256, 256, 88}},
	} {
		var got []int
		total := 0
		for _, s := range steps(c.turn) {
			got = append(got, len(s))
			total += len(s)
		}
		if len(got) != len(c.want) || total != len(c.turn) {
			t.Errorf("%s: steps of %v, want %v", c.name, got, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: steps of %v, want %v", c.name, got, c.want)
				break
			}
		}
	}
	cut := steps(append(many(8, receive), send(10)))
	if _, first := cut[0][0].operation.(*wire.SendMessage); !first {
		t.Error("a message was held back behind what waits")
	}
}
