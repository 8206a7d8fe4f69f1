package vaulttest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/internal/vault"
)

// Setup prepares the server for the test, with names of its own, and returns the configuration that uses it. What it
// made is gone with the test.
func (v *Vault) Setup(t testing.TB) vault.Config {
	t.Helper()
	name := "fairlead-test-" + strings.ToLower(rand.Text())
	cfg, err := vault.Setup(t.Context(), vault.SetupConfig{
		Address: v.URL, Token: v.Token, Name: name, Mount: name, Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatalf("set up Vault: %v", err)
	}
	if v.Server == nil {
		t.Cleanup(func() {
			for _, path := range []string{"sys/mounts/" + name, "sys/auth/" + name, "sys/policies/acl/" + name} {
				if status, _ := v.Call(t, http.MethodDelete, path, v.Token, nil); status >= 300 {
					t.Errorf("remove %s: status %d", path, status)
				}
			}
		})
	}
	return cfg
}

// Client runs a client until the test ends, and waits until it has logged in.
func Client(t testing.TB, cfg vault.Config) *vault.Client {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	c, err := vault.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := c.Run(ctx); err != nil {
			t.Errorf("the Vault client ended: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	Until(t, "the client has logged in", func() error { return c.LoggedIn() })
	return c
}

// Until waits until there is no error any more.
func Until(t testing.TB, what string, cond func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := cond()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited until %s: %v", what, err)
		}
	}
}

// Call sends a request as any HTTP client would and returns status and answer.
func (v *Vault) Call(t testing.TB, method, path, token string, body any) (int, map[string]any) {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, v.URL+"/v1/"+path, bytes.NewReader(raw))
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
	if raw, err = io.ReadAll(resp.Body); err == nil && len(raw) > 0 {
		err = json.Unmarshal(raw, &answer)
	}
	if err != nil {
		t.Fatalf("%s %s: status %d: %v", method, path, resp.StatusCode, err)
	}
	return resp.StatusCode, answer
}

// Must is Call for what has to succeed; it returns the answer's data.
func (v *Vault) Must(t testing.TB, method, path string, body any) map[string]any {
	t.Helper()
	status, answer := v.Call(t, method, path, v.Token, body)
	if status >= 300 {
		t.Fatalf("%s %s: status %d: %s", method, path, status, fmt.Sprint(answer))
	}
	data, _ := answer["data"].(map[string]any)
	return data
}
