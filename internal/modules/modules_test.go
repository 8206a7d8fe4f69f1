package modules_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/internal/modules"
	"github.com/fairleadio/fairlead/internal/sandbox"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
)

// box is a sandbox that compiles when the test lets it.
type box struct {
	mu      sync.Mutex
	modules map[[32]byte]string
	asked   chan struct{}
	proceed chan error
	sick    error
}

func newBox() *box {
	return &box{modules: map[[32]byte]string{}, asked: make(chan struct{}, 10), proceed: make(chan error, 10)}
}

func (b *box) Module(sha [32]byte) (string, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m, ok := b.modules[sha]
	return m, ok
}

func (b *box) Install(ctx context.Context, wasm []byte) (string, error) {
	b.asked <- struct{}{}
	select {
	case err := <-b.proceed:
		if err != nil {
			return "", err
		}
	case <-ctx.Done():
		return "", ctx.Err()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.modules[sha256.Sum256(wasm)] = string(wasm)
	return string(wasm), nil
}

func (b *box) Uninstall(_ context.Context, sha [32]byte) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.modules[sha] == "used" {
		return false, nil
	}
	delete(b.modules, sha)
	return true, b.sick
}

// chunks are parts by their keys.
type chunks map[string]any

func (c chunks) Get(key string) (any, bool) {
	m, ok := c[key]
	return m, ok
}

// add publishes a module in parts of three bytes.
func (c chunks) add(wasm string) [32]byte {
	sha := sha256.Sum256([]byte(wasm))
	parts := (len(wasm) + 2) / 3
	for i := range parts {
		c[fmt.Sprintf("%x/%08d", sha, i)] = &cpiv1.Chunk{Sha256: sha[:], Part: uint32(i), Parts: uint32(parts), Data: []byte(wasm[3*i : min(len(wasm), 3*i+3)])}
	}
	return sha
}

func isNotReady(err error, coming bool) bool {
	var e *modules.NotReadyError
	return errors.As(err, &e) && e.Coming == coming
}

// A module is compiled once, whoever waits for it, from all of its parts.
func TestGet(t *testing.T) {
	b, c := newBox(), chunks{}
	type counts struct{ ready, underway int }
	var last counts
	var mu sync.Mutex
	s := modules.New(modules.Config{Wait: time.Millisecond, Changed: func(ready, underway int) {
		mu.Lock()
		defer mu.Unlock()
		last = counts{ready, underway}
	}}, b, c)
	told := func(want counts) {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		if last != want {
			t.Errorf("told %+v, want %+v", last, want)
		}
	}
	sha := c.add("a module")
	second := fmt.Sprintf("%x/%08d", sha, 1)
	kept := c[second]
	delete(c, second)
	if _, err := s.Get(t.Context(), sha); !isNotReady(err, false) {
		t.Errorf("a part is missing: %v", err)
	}
	c[second] = kept
	for range 3 {
		if _, err := s.Get(t.Context(), sha); !isNotReady(err, true) {
			t.Errorf("it is compiled: %v", err)
		}
	}
	<-b.asked
	if err := s.Name(map[[32]byte]bool{sha: true}); err != nil {
		t.Error(err)
	}
	told(counts{0, 1})
	b.proceed <- nil
	var m string
	for err := error(&modules.NotReadyError{Coming: true}); isNotReady(err, true); {
		m, err = s.Get(t.Context(), sha)
	}
	if m != "a module" || len(b.asked) != 0 {
		t.Errorf("got %q, compiled %d times more", m, len(b.asked))
	}
	s.Close()
	s.Show()
	told(counts{1, 0})
	if _, err := s.Get(t.Context(), c.add("another")); !errors.Is(err, modules.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// A worker that starts may hear of a package before its parts: then the module is begun with the last of them, though nobody
// asks for it, and who waits for all that is on its way waits for it too.
func TestWarmWaitsForParts(t *testing.T) {
	b, c := newBox(), chunks{}
	s := modules.New(modules.Config{Wait: time.Minute}, b, c)
	defer s.Close()
	sha := c.add("a module")
	second := fmt.Sprintf("%x/%08d", sha, 1)
	kept := c[second]
	delete(c, second)
	s.Warm(sha)
	s.Complete()
	if n := s.Await(t.Context()); n != 0 || len(b.asked) != 0 {
		t.Fatalf("%d are on their way, %d begun, and a part is missing", n, len(b.asked))
	}
	c[second] = kept
	s.Complete()
	<-b.asked
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if n := s.Await(over); n != 1 {
		t.Errorf("%d are on their way, want 1", n)
	}
	b.proceed <- nil
	if n := s.Await(t.Context()); n != 0 {
		t.Errorf("%d are on their way after all is done", n)
	}
	if _, ok := b.Module(sha); !ok {
		t.Error("it is not installed")
	}
	s.Complete()
	if len(b.asked) != 0 {
		t.Error("it is begun again")
	}
}

// What is wrong with a module is found once; what is wrong with the machine is tried again.
func TestFaults(t *testing.T) {
	b, c := newBox(), chunks{}
	s := modules.New(modules.Config{Wait: time.Minute, Shared: true}, b, c)
	defer s.Close()
	bad, good := c.add("bad"), c.add("good")
	b.proceed <- &sandbox.Error{Kind: sandbox.Rejected, Detail: "no"}
	for range 2 {
		if _, err := s.Get(t.Context(), bad); sandbox.KindOf(err) != sandbox.Rejected {
			t.Error(err)
		}
	}
	b.proceed <- errors.New("disk full")
	if _, err := s.Get(t.Context(), good); err == nil || modules.IsFault(err) {
		t.Errorf("got %v", err)
	}
	b.proceed <- nil
	if m, err := s.Get(t.Context(), good); err != nil || m != "good" {
		t.Errorf("got %q, %v", m, err)
	}
	if len(b.asked) != 3 {
		t.Errorf("compiled %d times, want 3", len(b.asked))
	}
	// A package that comes again is looked at anew.
	if err := s.Name(map[[32]byte]bool{good: true}); err != nil {
		t.Error(err)
	}
	b.proceed <- nil
	if m, err := s.Get(t.Context(), bad); err != nil || m != "bad" {
		t.Errorf("got %q, %v", m, err)
	}
}

// Parts that are not what the checksum says are no module.
func TestParts(t *testing.T) {
	b, c := newBox(), chunks{}
	s := modules.New(modules.Config{Wait: time.Minute}, b, c)
	defer s.Close()
	for what, part := range map[string]any{
		"another message": "text", "another part": &cpiv1.Chunk{Part: 1, Parts: 2}, "no parts": &cpiv1.Chunk{},
		"other bytes": &cpiv1.Chunk{Parts: 1, Data: []byte("y")},
	} {
		sha := sha256.Sum256([]byte("x"))
		c[fmt.Sprintf("%x/%08d", sha, 0)] = part
		var e *modules.PartsError
		if _, err := s.Get(t.Context(), sha); !errors.As(err, &e) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Modules that no package names go, but not before a package was seen, nor while they are used.
func TestUnnamedModulesGo(t *testing.T) {
	b, c := newBox(), chunks{}
	s := modules.New(modules.Config{Wait: time.Minute}, b, c)
	var all [][32]byte
	for _, name := range []string{"used", "kept", "dropped"} {
		all = append(all, c.add(name))
		b.proceed <- nil
	}
	s.Warm(all...)
	for _, sha := range all {
		if _, err := s.Get(t.Context(), sha); err != nil {
			t.Fatal(err)
		}
	}
	there := func(want ...bool) {
		t.Helper()
		for i, sha := range all {
			if _, ok := b.Module(sha); ok != want[i] {
				t.Errorf("module %d: there is %t", i, ok)
			}
		}
	}
	if err := s.Sweep(); err != nil {
		t.Error(err)
	}
	there(true, true, true)
	b.sick = errors.New("not all")
	if err := s.Name(map[[32]byte]bool{all[1]: true}); !errors.Is(err, b.sick) {
		t.Errorf("got %v", err)
	}
	there(true, true, false)
	b.mu.Lock()
	b.modules[all[0]] = "no more"
	b.mu.Unlock()
	if err := s.Sweep(); !errors.Is(err, b.sick) {
		t.Errorf("got %v", err)
	}
	there(false, true, false)
	s.Close()
}

// Close ends a compiler that does not come back by itself.
func TestClose(t *testing.T) {
	b, c := newBox(), chunks{}
	s := modules.New(modules.Config{Wait: time.Minute}, b, c)
	s.Warm(c.add("x"))
	<-b.asked
	s.Close()
}
