package vnodes

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"
)

// places takes so many places of a virtual node, with connections that are none.
func places(t *testing.T, p *Pool, vnode string, n int) []*conn {
	t.Helper()
	var got []*conn
	for range n {
		g, err := p.place(t.Context(), vnode)
		if err != nil {
			t.Fatal(err)
		}
		if g.conn == nil {
			g.conn = &conn{vnode: vnode, generation: g.generation}
		}
		got = append(got, g.conn)
	}
	return got
}

func giveBack(p *Pool, vnode string, conns []*conn) {
	for _, c := range conns {
		p.release(vnode, c)
	}
}

// TestConnectionsAreNotTakenFromEachOther has two virtual nodes that are both at work with all connections there are: the
// one waits for its own, for a new one costs more.
func TestConnectionsAreNotTakenFromEachOther(t *testing.T) {
	p := NewPool(Config{Max: 4, MaxPerVnode: 4})
	a := places(t, p, "A", 2)
	giveBack(p, "B", places(t, p, "B", 2)) // idle, just now
	type placed struct {
		g   grant
		err error
	}
	third := make(chan placed, 1)
	go func() {
		g, err := p.place(t.Context(), "A")
		third <- placed{g, err}
	}()
	for p.Stats().Waiting == 0 {
		select {
		case r := <-third:
			t.Fatalf("A was given %+v, %v at once", r.g, r.err)
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		default:
		}
	}
	p.release("A", a[0])
	if r := <-third; r.err != nil || r.g.conn != a[0] || r.g.evicted != nil {
		t.Errorf("A was given %+v, %v, want its own connection", r.g, r.err)
	}
}

// TestConnectionsThatNobodyUsesMakeRoom has them taken after a second, also when nothing is given back meanwhile.
func TestConnectionsThatNobodyUsesMakeRoom(t *testing.T) {
	p := NewPool(Config{Max: 4, MaxPerVnode: 4})
	places(t, p, "A", 2)
	giveBack(p, "B", places(t, p, "B", 2))
	g, err := p.place(t.Context(), "A")
	if err != nil || g.evicted == nil || g.evicted.vnode != "B" {
		t.Errorf("A was given %+v, %v, want the place of one of B's", g, err)
	}
}

// TestAVirtualNodeWithoutAConnectionGetsOneAtOnce has room made for it by one that has others.
func TestAVirtualNodeWithoutAConnectionGetsOneAtOnce(t *testing.T) {
	p := NewPool(Config{Max: 4, MaxPerVnode: 4})
	giveBack(p, "A", places(t, p, "A", 1)) // the oldest, but A's only one
	giveBack(p, "B", places(t, p, "B", 3))
	ctx, cancel := context.WithTimeout(t.Context(), patience/2)
	defer cancel()
	began := time.Now()
	g, err := p.place(ctx, "C")
	if err != nil || g.evicted == nil || g.evicted.vnode != "B" {
		t.Errorf("C was given %+v, %v after %s, want the place of one of B's", g, err, time.Since(began))
	}
}

// hungry keeps callers of a virtual node waiting for connections all the time, until ctx ends.
func hungry(ctx context.Context, p *Pool, vnode string, n int) *sync.WaitGroup {
	var callers sync.WaitGroup
	for range n {
		callers.Go(func() {
			for ctx.Err() == nil {
				g, err := p.place(ctx, vnode)
				if err != nil {
					return
				}
				if g.conn == nil {
					g.conn = &conn{vnode: vnode, generation: g.generation}
				}
				g.evicted = nil
				runtime.Gosched()
				p.release(vnode, g.conn)
			}
		})
	}
	return &callers
}

// TestAVirtualNodeThatIsAlwaysBusyMakesRoom has one that always has callers waiting, and so never an idle connection: for one that
// has none, also when each of its callers has little time, and for one of which all connections but one are in long transactions.
func TestAVirtualNodeThatIsAlwaysBusyMakesRoom(t *testing.T) {
	for name, c := range map[string]struct {
		max, of, callers int // all places, C's that are at work for long, B's callers
		each             time.Duration
	}{
		"one without":                 {1, 0, 8, time.Minute},
		"callers with little time":    {1, 0, 200, 4 * patience / 5},
		"one with a long transaction": {4, 1, 8, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			p := NewPool(Config{Max: c.max, MaxPerVnode: c.max})
			places(t, p, "C", c.of)
			first := places(t, p, "B", c.max-c.of)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			callers := hungry(ctx, p, "B", c.callers)
			defer callers.Wait()
			defer cancel()
			for p.Stats().Waiting < c.callers {
				runtime.Gosched()
			}
			giveBack(p, "B", first)
			for ctx.Err() == nil {
				short, stop := context.WithTimeout(ctx, c.each)
				g, err := p.place(short, "C")
				stop()
				if err != nil {
					continue
				}
				if g.evicted == nil {
					t.Errorf("C was given %+v, want the place of one of B's", g)
				}
				p.release("C", nil)
				return
			}
			t.Error("C got no connection while B was given thousands")
		})
	}
}
