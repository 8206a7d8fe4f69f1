package vault

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

func TestKinds(t *testing.T) {
	answer := func(code int, said ...string) error { return &api.ResponseError{StatusCode: code, Errors: said} }
	for _, c := range []struct {
		err  error
		want Kind
	}{
		{nil, ""},
		{answer(503, "Vault is sealed"), Sealed},
		{answer(503, "OpenBao is sealed"), Sealed},
		{answer(500, "local node not active but active cluster node not found"), Unreachable},
		{answer(429), Unreachable},
		{answer(473), Unreachable},
		{answer(403, "permission denied"), Denied},
		{answer(404), NotFound},
		{answer(400, "signing key not found"), Permanent},
		{context.DeadlineExceeded, Unreachable},
		{errors.New("connection refused"), Unreachable},
		{errAnswer, Permanent},
	} {
		if got := kindOf(c.err); got != c.want {
			t.Errorf("%v is %q, should be %q", c.err, got, c.want)
		}
	}
	if KindOf(nil) != "" || KindOf(errors.New("x")) != Permanent || KindOf(classify("x", answer(503, "sealed"))) != Sealed {
		t.Error("KindOf")
	}
	for kind, waits := range map[Kind]bool{Sealed: true, Unreachable: true, LoggedOut: true, Denied: true, NotFound: false, Permanent: false} {
		if kind.Waits() != waits {
			t.Errorf("%s waits: %v", kind, !waits)
		}
	}
}

func TestValidate(t *testing.T) {
	err := Config{Address: "vault", Timeout: -1, Auth: Auth{Method: AppRole}}.Validate()
	for _, want := range []string{"vault.address", "vault.timeout", "vault.role_id_file", "vault.secret_id_file"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %s", err, want)
		}
	}
	if err := (Config{Address: "https://v", Auth: Auth{Method: "magic"}}).Validate(); err == nil || !strings.Contains(err.Error(), "magic") {
		t.Errorf("%v", err)
	}
	if err := (Config{Address: "https://v:8200", Auth: Auth{Method: Kubernetes, Role: "r"}}).Validate(); err != nil {
		t.Error(err)
	}
}

// A server that answers as it likes, over the whole client.
func TestOddAnswers(t *testing.T) {
	var answer atomic.Value
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/auth/token/lookup-self" {
			_, _ = w.Write([]byte(`{"data":{"ttl":0,"renewable":false}}`))
			return
		}
		if strings.HasSuffix(r.URL.Path, "/slow") {
			<-release
		}
		_, _ = w.Write([]byte(answer.Load().(string)))
	}))
	defer server.Close()
	defer close(release)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("t\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{Address: server.URL, Timeout: 10 * time.Second, Auth: Auth{Method: TokenFile, TokenFile: token}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ReadKey(t.Context(), "k"); KindOf(err) != LoggedOut {
		t.Errorf("before the login: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	if !c.WaitLoggedIn(t.Context()) {
		t.Fatal("not logged in")
	}
	for _, text := range []string{
		`{}`, `{"data":{}}`, `{"data":{"type":"ed25519","keys":{"1":{"public_key":"AAAA"}},"latest_version":1}}`,
		`{"data":{"type":"ecdsa-p256","keys":{"1":{"public_key":"no PEM"}},"latest_version":1}}`, `not JSON`,
	} {
		answer.Store(text)
		if _, err := c.ReadKey(t.Context(), "k"); err == nil {
			t.Errorf("%s was taken for a key", text)
		}
	}
	for _, text := range []string{
		`{}`, `{"data":{"signature":"vault:v2:AAAA"}}`, `{"data":{"signature":"vault:v1:***"}}`, `{"data":{"batch_results":[{"signature":"vault:v1:AAAA"}]}}`,
		`{"data":{"batch_results":[{"signature":"vault:v1:AAAA"},{"error":"no"}]}}`,
	} {
		answer.Store(text)
		if _, err := c.Sign(t.Context(), "k", Algorithm{}, [][]byte{{1}, {2}}); KindOf(err) != Permanent {
			t.Errorf("%s was taken for two signatures: %v", text, err)
		}
		if _, err := c.Sign(t.Context(), "k", Algorithm{}, [][]byte{{1}}); KindOf(err) != Permanent {
			t.Errorf("%s was taken for a signature: %v", text, err)
		}
	}
	soon, stop := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer stop()
	if _, err := c.Sign(soon, "slow", Algorithm{}, [][]byte{{1}}); KindOf(err) != Unreachable {
		t.Errorf("a slow server: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Whatever a server says of a key and of signatures, reading it does not panic.
func FuzzAnswers(f *testing.F) {
	f.Add(`{"type":"ed25519","keys":{"1":{"public_key":"` + strings.Repeat("A", 43) + `="}},"latest_version":1}`)
	f.Add(`{"batch_results":[{"signature":"vault:v1:AAAA"},{"error":"x"}]}`)
	f.Add(`{"signature":"vault:v1:AAAA"}`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := api.ParseSecret(strings.NewReader(`{"data":` + text + `}`))
		if err != nil {
			return
		}
		var k Key
		if err := k.parse(dataOf(s)); err == nil && k.Type != AES256 && len(k.PublicKey) == 0 {
			t.Error("a key without a public half")
		}
		for _, n := range []int{1, 2} {
			if out, err := signatures(dataOf(s), n); err == nil && len(out) != n {
				t.Errorf("%d signatures for %d", len(out), n)
			}
		}
	})
}

func TestPolicy(t *testing.T) {
	text := Policy("other")
	if strings.Contains(text, `"`+DefaultMount) || !strings.Contains(text, `path "other/sign/+"`) {
		t.Error(text)
	}
}
