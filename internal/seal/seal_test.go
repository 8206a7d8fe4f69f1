package seal_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fairleadio/fairlead/internal/seal"
)

func key(t testing.TB, b byte) *seal.Key {
	t.Helper()
	k, err := seal.New(bytes.Repeat([]byte{b}, seal.KeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestOpensOnlyInItsPlace(t *testing.T) {
	k := key(t, 1)
	rapid.Check(t, func(r *rapid.T) {
		secret := rapid.SliceOf(rapid.Byte()).Draw(r, "secret")
		place := rapid.SliceOfN(rapid.String(), 0, 3).Draw(r, "place")
		sealed, err := k.Seal(secret, place...)
		if err != nil {
			r.Fatal(err)
		}
		got, err := k.Open(sealed, place...)
		if err != nil || !bytes.Equal(got, secret) {
			r.Fatalf("got %x, %v", got, err)
		}
		if _, err := k.Open(sealed, append(place, "")...); !errors.Is(err, seal.ErrSealed) {
			r.Fatalf("another place: %v", err)
		}
		if _, err := key(t, 2).Open(sealed, place...); !errors.Is(err, seal.ErrSealed) {
			r.Fatalf("another key: %v", err)
		}
		sealed[rapid.IntRange(0, len(sealed)-1).Draw(r, "at")] ^= 1
		if _, err := k.Open(sealed, place...); !errors.Is(err, seal.ErrSealed) {
			r.Fatalf("changed: %v", err)
		}
	})
}

func TestPartsDoNotRunTogether(t *testing.T) {
	k := key(t, 1)
	sealed, err := k.Seal([]byte("s"), "ab", "c")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Open(sealed, "a", "bc"); !errors.Is(err, seal.ErrSealed) {
		t.Fatalf("got %v", err)
	}
}

func TestKeyFiles(t *testing.T) {
	name := filepath.Join(t.TempDir(), "key")
	if err := seal.WriteKey(name); err != nil {
		t.Fatal(err)
	}
	if err := seal.WriteKey(name); err == nil {
		t.Fatal("a key was overwritten")
	}
	k, err := seal.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := k.Seal([]byte("s"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := seal.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.Open(sealed); err != nil || string(got) != "s" {
		t.Fatalf("%q, %v", got, err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	for _, content := range []string{strings.Repeat("ab", 32) + "\n", strings.Repeat("k", 32)} {
		if _, err := seal.Parse([]byte(content)); err != nil {
			t.Errorf("%q: %v", content, err)
		}
	}
	if _, err := seal.Parse([]byte("secret-that-is-no-key")); err == nil || strings.Contains(err.Error(), "secret-that") {
		t.Errorf("got %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	k := key(f, 1)
	f.Add([]byte{1})
	f.Add(bytes.Repeat([]byte{1}, 60))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := k.Open(b, "x"); err == nil {
			t.Error("a forged value opened")
		}
	})
}
