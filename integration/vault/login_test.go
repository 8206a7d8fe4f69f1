package vault_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/internal/vault"
	"github.com/fairleadio/fairlead/internal/vault/vaulttest"
)

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// login gets a token as the worker gets it, to show what somebody could do who steals it.
func login(t *testing.T, v *vaulttest.Vault, cfg vault.Config) string {
	t.Helper()
	status, answer := v.Call(t, http.MethodPost, "auth/"+cfg.Auth.Path+"/login", "", map[string]any{
		"role_id": read(t, cfg.Auth.RoleIDFile), "secret_id": read(t, cfg.Auth.SecretIDFile),
	})
	if status != http.StatusOK {
		t.Fatalf("log in: %d %v", status, answer)
	}
	return answer["auth"].(map[string]any)["client_token"].(string)
}

// A client that has lost its token gets another by itself, and says meanwhile what it waits for.
func TestTokens(t *testing.T) {
	v := vaulttest.Start(t)
	cfg := v.Setup(t)
	role := "auth/" + cfg.Auth.Path + "/role/" + cfg.Auth.Path

	t.Run("revoked", func(t *testing.T) {
		c := vaulttest.Client(t, cfg)
		if _, err := c.CreateKey(t.Context(), "k", vault.P256); err != nil {
			t.Fatal(err)
		}
		v.Must(t, http.MethodPost, "sys/leases/revoke-force/auth/"+cfg.Auth.Path, nil)
		_, err := c.ReadKey(t.Context(), "k")
		if kind := vault.KindOf(err); kind != vault.LoggedOut {
			t.Errorf("with a revoked token: %v", err)
		}
		vaulttest.Until(t, "the client has another token", func() error { _, err := c.ReadKey(t.Context(), "k"); return err })
	})

	t.Run("short-lived", func(t *testing.T) {
		v.Must(t, http.MethodPost, role, map[string]any{"token_policies": []string{cfg.Auth.Path}, "token_period": "0", "token_ttl": "2s", "token_max_ttl": "3s"})
		c := vaulttest.Client(t, cfg)
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			_, err := c.ReadKey(t.Context(), "k")
			if k := vault.KindOf(err); err != nil && k != vault.LoggedOut {
				t.Fatalf("%v", err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done(): // more than two lives of a token
				vaulttest.Until(t, "the client has a token", func() error { _, err := c.ReadKey(t.Context(), "k"); return err })
				return
			}
		}
	})

	t.Run("wrapped secret id", func(t *testing.T) {
		wrap := func(path string) string {
			t.Helper()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, v.URL+"/v1/"+path, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Vault-Token", v.Token)
			req.Header.Set("X-Vault-Wrap-TTL", "60s")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var answer struct {
				Wrap struct {
					Token string `json:"token"`
				} `json:"wrap_info"`
			}
			if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Wrap.Token == "" {
				t.Fatalf("wrap %s: status %d, %v", path, resp.StatusCode, err)
			}
			return answer.Wrap.Token
		}
		wrapped := cfg
		wrapped.Auth.SecretIDWrapped = true
		wrapped.Auth.SecretIDFile = write(t, wrap(role+"/secret-id"))
		c := vaulttest.Client(t, wrapped)
		v.Must(t, http.MethodPost, "sys/leases/revoke-force/auth/"+cfg.Auth.Path, nil)
		vaulttest.Until(t, "the client has used the secret id again", func() error { _, err := c.ReadKey(t.Context(), "k"); return err })
		fails(t, wrapped, "good once")
		wrapped.Auth.SecretIDFile = write(t, wrap("sys/wrapping/wrap"))
		fails(t, wrapped, "do not trust it")
	})

	t.Run("token file", func(t *testing.T) {
		_, answer := v.Call(t, http.MethodPost, "auth/token/create", v.Token, map[string]any{"policies": []string{cfg.Auth.Path}, "ttl": "1h", "no_parent": true})
		made, _ := answer["auth"].(map[string]any)["client_token"].(string)
		file := cfg
		file.Auth = vault.Auth{Method: vault.TokenFile, TokenFile: write(t, made)}
		c := vaulttest.Client(t, file)
		if err := c.Check(t.Context()); err != nil {
			t.Error(err)
		}
		file.Auth.TokenFile = write(t, v.Token)
		if excess, err := vaulttest.Client(t, file).Excess(t.Context()); err != nil || len(excess) == 0 {
			t.Errorf("nothing is said of a token that may do everything: %v, %v", excess, err)
		}
		file.Auth.TokenFile = write(t, "s.nonsense")
		fails(t, file, "403")
		file.Auth.TokenFile = filepath.Join(t.TempDir(), "nothing")
		fails(t, file, "vault.token_file")
	})
}

// fails tells that a client never logs in, and says why.
func fails(t *testing.T, cfg vault.Config, want string) {
	t.Helper()
	cfg.Log = slog.New(slog.DiscardHandler)
	c, err := vault.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	vaulttest.Until(t, "the login has failed with "+want, func() error {
		if err := c.LoggedIn(); err == nil || !strings.Contains(err.Error(), want) {
			return errors.Join(errors.New("not yet"), err)
		}
		return nil
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Kubernetes auth against a server that answers token reviews as Kubernetes does.
func TestKubernetes(t *testing.T) {
	v := vaulttest.Own(t)
	cfg := v.Setup(t)
	const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlcm5ldGVzL3NlcnZpY2VhY2NvdW50Iiwia3ViZXJuZXRlcy5pby9zZXJ2aWNlYWNjb3VudC9uYW1lc3BhY2UiOiJmYWlybGVhZCIsImt1YmVybmV0ZXMuaW8vc2VydmljZWFjY291bnQvc2VydmljZS1hY2NvdW50Lm5hbWUiOiJmYWlybGVhZC1jcnlwdG8iLCJrdWJlcm5ldGVzLmlvL3NlcnZpY2VhY2NvdW50L3NlcnZpY2UtYWNjb3VudC51aWQiOiJ1LTEiLCJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6ZmFpcmxlYWQ6ZmFpcmxlYWQtY3J5cHRvIn0.c2ln"
	kube := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review struct {
			Spec struct{ Token string } `json:"spec"`
		}
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": map[string]any{
			"authenticated": review.Spec.Token == jwt,
			"user":          map[string]any{"username": "system:serviceaccount:fairlead:fairlead-crypto", "uid": "u-1", "groups": []string{"system:serviceaccounts"}},
		}})
	}))
	defer kube.Close()
	v.Must(t, http.MethodPost, "sys/auth/kubernetes", map[string]any{"type": "kubernetes"})
	v.Must(t, http.MethodPost, "auth/kubernetes/config", map[string]any{"kubernetes_host": kube.URL, "kubernetes_ca_cert": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: kube.Certificate().Raw})), "disable_local_ca_jwt": true, "token_reviewer_jwt": jwt})
	v.Must(t, http.MethodPost, "auth/kubernetes/role/fairlead-crypto", map[string]any{
		"bound_service_account_names": []string{"fairlead-crypto"}, "bound_service_account_namespaces": []string{"fairlead"},
		"token_policies": []string{cfg.Auth.Path}, "token_period": "1h",
	})
	cfg.Auth = vault.Auth{Method: vault.Kubernetes, Role: "fairlead-crypto", JWTFile: write(t, jwt)}
	c := vaulttest.Client(t, cfg)
	if err := c.Check(t.Context()); err != nil {
		t.Error(err)
	}
	cfg.Auth.JWTFile = write(t, strings.Replace(jwt, ".c2ln", ".bm8", 1))
	fails(t, cfg, "log in to Vault")
}

// Each way in which Vault can be away has its kind, and all end by themselves.
func TestKinds(t *testing.T) {
	v := vaulttest.Own(t)
	cfg := v.Setup(t)
	cfg.Timeout = time.Second
	c := vaulttest.Client(t, cfg)
	if _, err := c.CreateKey(t.Context(), "k", vault.Ed25519); err != nil {
		t.Fatal(err)
	}
	sign := func() error {
		_, err := c.Sign(t.Context(), "k", vault.Algorithm{}, [][]byte{{1}})
		return err
	}
	if err := v.Server.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := sign(); vault.KindOf(err) != vault.Sealed {
		t.Errorf("sealed: %v", err)
	}
	if err := c.Check(t.Context()); vault.KindOf(err) != vault.Sealed {
		t.Errorf("sealed: %v", err)
	}
	if err := v.Server.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := sign(); vault.KindOf(err) != vault.Unreachable {
		t.Errorf("killed: %v", err)
	}
	if err := v.Server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	vaulttest.Until(t, "the restarted server signs", sign)

	v.Must(t, http.MethodPost, "sys/policies/acl/"+cfg.Auth.Path, map[string]any{"policy": `path "auth/token/lookup-self" { capabilities = ["read"] }
path "sys/capabilities-self" { capabilities = ["update"] }`})
	if err := sign(); vault.KindOf(err) != vault.Denied {
		t.Errorf("with a policy that allows nothing: %v", err)
	}
	if err := c.Check(t.Context()); vault.KindOf(err) != vault.Denied || !strings.Contains(err.Error(), "fairlead-crypto.hcl") {
		t.Errorf("with a policy that allows nothing: %v", err)
	}
	v.Must(t, http.MethodPost, "sys/policies/acl/"+cfg.Auth.Path, map[string]any{"policy": vault.Policy(cfg.Mount)})
	vaulttest.Until(t, "the policy is in force again", func() error { return c.Check(t.Context()) })

	nowhere := cfg
	nowhere.Mount = "not-mounted"
	v.Must(t, http.MethodPost, "sys/policies/acl/"+cfg.Auth.Path, map[string]any{"policy": vault.Policy("not-mounted")})
	other := vaulttest.Client(t, nowhere)
	if err := other.Check(t.Context()); vault.KindOf(err) != vault.Denied || !strings.Contains(err.Error(), "no transit engine") {
		t.Errorf("without a mount: %v", err)
	}
}
