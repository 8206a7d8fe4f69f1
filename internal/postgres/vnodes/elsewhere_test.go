package vnodes

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/internal/postgres"
)

// A server that is away is tried once and then beside those who ask, who get their answer at once.
func TestBreaker(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	var logins atomic.Int32
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			logins.Add(1)
			_ = c.Close()
		}
	}()
	elsewhere := Login{URL: "postgres://" + l.Addr().String() + "/x?sslmode=disable", Elsewhere: true}
	shared := elsewhere
	shared.Elsewhere = false
	p := NewPool(Config{Login: func(_ context.Context, vnode string) (Login, error) {
		if vnode == "shared" {
			return shared, nil
		}
		return elsewhere, nil
	}})
	t.Cleanup(p.Close)
	ask := func(vnode string) error { return p.Read(t.Context(), vnode, func(*Tx) error { return nil }) }
	var own *ElsewhereError
	first := ask("own")
	if !errors.As(first, &own) || own.Since.IsZero() || postgres.ClassOf(first) != postgres.Unavailable {
		t.Fatalf("%v", first)
	}
	since, before := own.Since, logins.Load()
	for range 100 {
		if err := ask("own"); !errors.As(err, &own) || !own.Since.Equal(since) {
			t.Fatalf("%v", err)
		}
	}
	if n := logins.Load() - before; n > 50 {
		t.Errorf("a hundred requests logged in %d times", n)
	}
	if err := ask("shared"); errors.As(err, &own) || postgres.ClassOf(err) != postgres.Unavailable {
		t.Errorf("the shared server: %v", err)
	}
}

func TestBreakerTimes(t *testing.T) {
	var b breakers
	away := &postgres.Error{Class: postgres.Unavailable}
	now := time.Unix(1000, 0)
	if err, _ := b.state("a", now); err != nil {
		t.Fatal(err)
	}
	_ = b.tried("a", away, now)
	for _, wait := range []time.Duration{firstTrial, 2 * firstTrial, 4 * firstTrial} {
		if err, try := b.state("a", now.Add(wait-1)); err == nil || try {
			t.Errorf("before %s: %v, %v", wait, err, try)
		}
		now = now.Add(wait)
		if err, try := b.state("a", now); err == nil || !try {
			t.Errorf("after %s: %v, %v", wait, err, try)
		}
		if _, try := b.state("a", now); try {
			t.Error("two try at once")
		}
		_ = b.tried("a", away, now)
	}
	if err, _ := b.state("b", now); err != nil {
		t.Error("another server is away too:", err)
	}
	_ = b.tried("a", &postgres.Error{Class: postgres.Access}, now)
	if err, _ := b.state("a", now); err != nil {
		t.Error("a server that refuses a login is there:", err)
	}
}
