package vault_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/internal/vault/vaultserver"
	"github.com/fairleadio/fairlead/internal/vault/vaulttest"
)

// A server keeps what it acknowledged over kill -9 and over a new owner, at the same address, sealed in between by
// nobody's hand; and a directory has one server at a time.
func TestServerIsDurable(t *testing.T) {
	began := time.Now()
	v := vaulttest.Own(t)
	t.Logf("ready after %s", time.Since(began))
	v.Must(t, http.MethodPost, "sys/mounts/transit", map[string]any{"type": "transit"})
	publicKey := func() string {
		t.Helper()
		return fmt.Sprint(v.Must(t, http.MethodGet, "transit/keys/k", nil)["keys"])
	}
	v.Must(t, http.MethodPost, "transit/keys/k", map[string]any{"type": "ecdsa-p256"})
	before := publicKey()
	if err := v.Server.Kill(); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	if err := v.Server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("ready again after %s", time.Since(began))
	if v.Server.URL() != v.URL || publicKey() != before {
		t.Errorf("after kill -9 the server is at %s with key %s; it was at %s with %s", v.Server.URL(), publicKey(), v.URL, before)
	}
	if err := v.Server.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if code, _ := v.Call(t, http.MethodGet, "transit/keys/k", v.Token, nil); code != http.StatusServiceUnavailable {
		t.Errorf("sealed, the server answers with %d", code)
	}
	if err := v.Server.Unseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if publicKey() != before {
		t.Error("another key after sealing and unsealing")
	}
}

func TestServerKeepsItsDirectory(t *testing.T) {
	vaulttest.Own(t) // skips where there is none
	dir := t.TempDir()
	opts := vaultserver.Options{Dir: dir, Log: slog.New(slog.DiscardHandler)}
	first, err := vaultserver.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := vaultserver.Start(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "served already") {
		t.Errorf("a second server in the same directory: %v", err)
	}
	for _, file := range []string{"unseal.json", "server.json", "server.log", "running.json"} {
		info, err := os.Stat(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o", file, mode)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := first.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	second, err := vaultserver.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if second.URL() != first.URL() || second.RootToken() != first.RootToken() {
		t.Errorf("the next server is at %s, the first was at %s", second.URL(), first.URL())
	}
	if err := second.Kill(); err != nil {
		t.Fatal(err)
	}
	// A start that dies between the server's keys and their file begins again.
	if err := os.Remove(filepath.Join(dir, "unseal.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := vaultserver.Start(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "unseal key") {
		t.Errorf("data without its unseal key: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "initialising"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	third, err := vaultserver.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := third.Kill(); err != nil {
		t.Fatal(err)
	}
}
