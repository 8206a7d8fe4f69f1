package vaulttest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/internal/vault/vaultserver"
)

// The environment that decides which server a test gets; the last two are the tests' own, as in kafkatest.
const (
	AddressVariable     = "VAULT_ADDR"
	TokenVariable       = "VAULT_TOKEN"
	RealServersVariable = "FAIRLEAD_REAL_SERVERS"
	SummaryVariable     = "FAIRLEAD_TEST_SUMMARY"
)

// Vault is a running server that a test may use.
type Vault struct {
	// URL is the server's address, Token one that may do everything.
	URL, Token string
	// Server is the process, nil for a server that VAULT_ADDR names: that one cannot be sealed or stopped.
	Server *vaultserver.Server
	// Kind describes the server in words.
	Kind string
}

// Start gives the test a server, which ends with the test. Without one to be had the test is skipped, except that a
// server that should be there and does not start fails the test.
func Start(t testing.TB) *Vault {
	t.Helper()
	if os.Getenv(AddressVariable) == "" && os.Getenv(RealServersVariable) != "1" {
		why := RealServersVariable + "=1 is not set"
		note(t, "no", why)
		t.Skip("no Vault: " + why)
	}
	return launch(t)
}

// Own is Start for a test that seals or ends its server: VAULT_ADDR is left alone.
func Own(t testing.TB) *Vault {
	t.Helper()
	if os.Getenv(RealServersVariable) != "1" {
		why := RealServersVariable + "=1 is not set"
		note(t, "no", why)
		t.Skip("no Vault: " + why)
	}
	return own(t)
}

func launch(t testing.TB) *Vault {
	t.Helper()
	if at := os.Getenv(AddressVariable); at != "" {
		v := &Vault{URL: at, Token: os.Getenv(TokenVariable), Kind: "the server named by " + AddressVariable}
		note(t, "yes", v.Kind)
		return v
	}
	return own(t)
}

func own(t testing.TB) *Vault {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	v, err := Launch(ctx, t.TempDir())
	if missing := (*vaultserver.MissingError)(nil); errors.As(err, &missing) {
		note(t, "no", missing.Why)
		t.Skip(missing.Error())
	}
	if err != nil {
		t.Fatalf("start a Vault-API server: %v", err)
	}
	note(t, "yes", v.Kind)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("Vault-API server, end of its log:\n%s", v.Server.LogTail(4<<10))
		}
		if err := v.Server.Kill(); err != nil {
			t.Errorf("end the Vault-API server: %v", err)
		}
	})
	return v
}

// Launch starts a server outside a test; its files are kept below dir. The caller must end v.Server. ctx bounds the
// start, not the server's life.
func Launch(ctx context.Context, dir string) (*Vault, error) {
	s, err := vaultserver.Start(ctx, vaultserver.Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	version, err := s.Version(ctx)
	if err != nil {
		return nil, errors.Join(err, s.Kill())
	}
	product := "OpenBao"
	if strings.TrimSuffix(filepath.Base(s.Binary()), ".exe") == "vault" {
		product = "Vault"
	}
	return &Vault{URL: s.URL(), Token: s.RootToken(), Server: s, Kind: fmt.Sprintf("%s %s started here", product, version)}, nil
}

// note adds a line to the summary of the run, when there is one.
func note(t testing.TB, answer, kind string) {
	t.Helper()
	t.Logf("real Vault: %s (%s)", answer, kind)
	path := os.Getenv(SummaryVariable)
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatalf("open the summary of the run: %v", err)
	}
	// One write, so that lines of several processes do not mix.
	_, err = fmt.Fprintf(f, "real Vault: %s (%s)\n", answer, kind)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatalf("write the summary of the run: %v", err)
	}
}
