//go:build unix

package cli

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// A cluster that does not become ready has told what it did so far, and the error repeats it.
func TestDetachedStartShowsItsSteps(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var said []string
	_, err := startDetached(ctx, "/bin/sh", []string{"-c", "echo first step; exec sleep 600"}, nil, t.TempDir(), func(line string) {
		said = append(said, line)
		cancel()
	})
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "first step") {
		t.Errorf("error %v; want one that says what was printed", err)
	}
	if len(said) != 1 || said[0] != "first step" {
		t.Errorf("lines %q", said)
	}
}

// A cluster that ends before it is ready says why.
func TestDetachedStartFails(t *testing.T) {
	_, err := startDetached(t.Context(), "/bin/sh", []string{"-c", "echo no disk is left >&2; exit 1"}, nil, t.TempDir(), func(string) {})
	if err == nil || !strings.Contains(err.Error(), "no disk is left") {
		t.Errorf("error %v; want the output", err)
	}
}
