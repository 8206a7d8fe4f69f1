package vaultserver

import (
	"context"
	"errors"
	"fmt"
)

// URL is the server's address for clients. It stays the same over Restart.
func (s *Server) URL() string { return "http://" + s.addr }

// RootToken may do everything.
func (s *Server) RootToken() string { return s.secret.RootToken }

// Binary is the path of the server's binary.
func (s *Server) Binary() string { return s.opts.Binary }

// Done is closed when the process has ended, whoever ended it.
func (s *Server) Done() <-chan struct{} { return s.current().done }

func (s *Server) current() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}

// Stop ends the server in order and waits until it has ended; it is killed when ctx ends first.
func (s *Server) Stop(ctx context.Context) error { return s.current().stop(ctx) }

// Kill ends the server at once (SIGKILL).
func (s *Server) Kill() error { return s.current().kill() }

// Restart starts the server again at the same address, with what is on its disk; a running one is killed first. It is
// unsealed when Restart returns.
func (s *Server) Restart(ctx context.Context) error {
	if p := s.current(); p.running() {
		if err := p.kill(); err != nil {
			return err
		}
	}
	s.opts.Address = s.addr
	return s.start(ctx, "")
}

// Seal makes the server forget its keys until Unseal.
func (s *Server) Seal(ctx context.Context) error {
	client, err := s.client(s.secret.RootToken)
	if err != nil {
		return err
	}
	if err := client.Sys().SealWithContext(ctx); err != nil {
		return fmt.Errorf("seal the Vault-API server: %w", err)
	}
	return nil
}

// Unseal gives the server its key back.
func (s *Server) Unseal(ctx context.Context) error {
	client, err := s.client("")
	if err != nil {
		return err
	}
	status, err := client.Sys().UnsealWithContext(ctx, s.secret.UnsealKey)
	if err != nil {
		return fmt.Errorf("unseal the Vault-API server: %w", err)
	}
	if status.Sealed {
		return errors.New("unseal the Vault-API server: it is sealed still")
	}
	return nil
}

// LogTail returns the last n bytes of the running process's output.
func (s *Server) LogTail(n int64) string { return s.current().output(n) }

// Version is what the server says its version is.
func (s *Server) Version(ctx context.Context) (string, error) {
	client, err := s.client("")
	if err != nil {
		return "", err
	}
	status, err := client.Sys().SealStatusWithContext(ctx)
	if err != nil {
		return "", fmt.Errorf("ask the Vault-API server for its version: %w", err)
	}
	return status.Version, nil
}
