package vault_test

import (
	"bytes"
	"context"
	"encoding/json"
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

// call sends a request as any client would and returns status and answer.
func call(t *testing.T, method, url, token string, body any) (int, map[string]any) {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Vault-Token", token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer map[string]any
	if resp.StatusCode != http.StatusNoContent {
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
			t.Fatalf("%s %s: status %d: %v", method, url, resp.StatusCode, err)
		}
	}
	return resp.StatusCode, answer
}

// A server keeps what it acknowledged over kill -9 and over a new owner, at the same address, sealed in between by
// nobody's hand; and a directory has one server at a time.
func TestServerIsDurable(t *testing.T) {
	began := time.Now()
	v := vaulttest.Own(t)
	t.Logf("ready after %s", time.Since(began))
	url := v.URL + "/v1/"
	if code, a := call(t, http.MethodPost, url+"sys/mounts/transit", v.Token, map[string]any{"type": "transit"}); code != http.StatusNoContent {
		t.Fatalf("mount: %d %v", code, a)
	}
	publicKey := func() string {
		t.Helper()
		code, a := call(t, http.MethodGet, url+"transit/keys/k", v.Token, nil)
		if code != http.StatusOK {
			t.Fatalf("read the key: %d %v", code, a)
		}
		return fmt.Sprint(a["data"].(map[string]any)["keys"])
	}
	if code, a := call(t, http.MethodPost, url+"transit/keys/k", v.Token, map[string]any{"type": "ecdsa-p256"}); code >= 300 {
		t.Fatalf("make a key: %d %v", code, a)
	}
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
	if code, _ := call(t, http.MethodGet, url+"transit/keys/k", v.Token, nil); code != http.StatusServiceUnavailable {
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
