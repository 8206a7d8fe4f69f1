package vaultserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"
)

// Options say what server is wanted.
type Options struct {
	// Dir holds everything of the server; made when it is missing. Required.
	Dir string
	// Address is host:port to listen on; the host must be a loopback address. Empty picks a free port, the one of
	// the last run when it is still free.
	Address string
	// Binary is the server's binary; empty takes what [Find] finds.
	Binary string
	// Log is told what is done; nil for slog.Default().
	Log *slog.Logger
}

// Server is a running server: initialised, unsealed and ready.
type Server struct {
	opts   Options
	secret secret
	addr   string

	mu   sync.Mutex // guards proc and kind
	proc *process
	kind string
}

// secret is the file that whoever has it owns the server.
type secret struct {
	UnsealKey string `json:"unsealKey"`
	RootToken string `json:"rootToken"`
	// Storage is the kind of storage that the data was written with.
	Storage string `json:"storage"`
}

// storageKinds are the kinds of local storage that servers have, best first: OpenBao gave up "file", Vault has no
// "pebbledb".
func storageKinds() []string { return []string{"pebbledb", "file"} }

// running is the file that says who serves the directory.
type running struct {
	Address string `json:"address"`
	Server  int    `json:"server"`
	Owner   int    `json:"owner"`
}

const (
	secretFile  = "unseal.json"
	pendingFile = "initialising"
	runningFile = "running.json"
	storageDir  = "storage"
	logName     = "server.log"
)

// startTime bounds how long a server may take until it answers.
const startTime = time.Minute

// Start runs a server on a directory, with what it held before. The caller must Stop it. ctx bounds the start, not the
// server's life.
func Start(ctx context.Context, opts Options) (*Server, error) {
	if opts.Dir == "" {
		return nil, errors.New("vaultserver: Options.Dir is empty")
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Address != "" {
		host, _, err := net.SplitHostPort(opts.Address)
		if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
			return nil, fmt.Errorf("vaultserver: Options.Address %q is not a loopback address and a port, such as 127.0.0.1:8200", opts.Address)
		}
	}
	if opts.Binary == "" {
		var err error
		if opts.Binary, err = Find(ctx, opts.Log); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(filepath.Join(opts.Dir, storageDir), 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of the Vault-API server: %w", err)
	}
	s := &Server{opts: opts}
	if err := s.readSecret(); err != nil {
		return nil, err
	}
	last, err := s.takeOver(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.start(ctx, last); err != nil {
		return nil, err
	}
	return s, nil
}

// start runs the process and brings the server to where it answers.
func (s *Server) start(ctx context.Context, last string) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	kinds := storageKinds()
	if s.secret.Storage != "" {
		kinds = []string{s.secret.Storage}
	}
	var err error
	for _, kind := range kinds {
		if err = s.listen(ctx, kind, last); err == nil || !strings.Contains(strings.ToLower(err.Error()), "unknown storage type") {
			break
		}
	}
	if err != nil {
		return err
	}
	if err := s.prepare(ctx); err != nil {
		return errors.Join(err, s.Kill())
	}
	return nil
}

// listen launches the server on a free address.
func (s *Server) listen(ctx context.Context, kind, last string) error {
	var err error
	for range 3 { // a free port may be taken before the server listens on it
		var addr string
		if addr, err = pickAddress(s.opts.Address, last); err != nil {
			return err
		}
		if addr != s.addr { // a restart keeps it, and others may be reading it
			s.addr = addr
		}
		last = ""
		if err = s.launch(ctx, kind); err == nil || s.opts.Address != "" || !strings.Contains(err.Error(), "address already in use") {
			return err
		}
	}
	return err
}

// launch starts the process and waits until it listens.
func (s *Server) launch(ctx context.Context, kind string) error {
	config := map[string]any{
		"storage":  map[string]any{kind: map[string]any{"path": filepath.Join(s.opts.Dir, storageDir)}},
		"listener": map[string]any{"tcp": map[string]any{"address": s.addr, "tls_disable": true}},
		"api_addr": s.URL(), "disable_mlock": true, "ui": false, "log_level": "warn", "default_lease_ttl": "1h",
	}
	raw, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return fmt.Errorf("write the server's configuration: %w", err)
	}
	configFile := filepath.Join(s.opts.Dir, "server.json")
	if err := os.WriteFile(configFile, raw, 0o600); err != nil {
		return fmt.Errorf("write the server's configuration: %w", err)
	}
	// The server outlives ctx: it ends by Stop or Kill.
	cmd := exec.Command(s.opts.Binary, "server", "-config="+configFile)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(line string) bool {
		// What is meant for a client, or for another server, must not change this one.
		return strings.HasPrefix(line, "VAULT_") || strings.HasPrefix(line, "BAO_")
	})
	proc, err := startProcess(cmd, filepath.Join(s.opts.Dir, logName))
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.proc, s.kind = proc, kind
	s.mu.Unlock()
	if err := s.waitListening(ctx, proc); err != nil {
		return errors.Join(err, proc.kill())
	}
	raw, err = json.Marshal(running{Address: s.addr, Server: cmd.Process.Pid, Owner: os.Getpid()})
	if err != nil {
		return errors.Join(err, proc.kill())
	}
	if err := os.WriteFile(filepath.Join(s.opts.Dir, runningFile), raw, 0o600); err != nil {
		return errors.Join(fmt.Errorf("write who serves the directory: %w", err), proc.kill())
	}
	return nil
}

func (s *Server) waitListening(ctx context.Context, proc *process) error {
	client, err := s.client("")
	if err != nil {
		return err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err = client.Sys().SealStatusWithContext(ctx); err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-proc.done:
			return fmt.Errorf("%s ended while it started: %w\n%s", filepath.Base(s.opts.Binary), proc.err, proc.output(2<<10))
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("the Vault-API server does not answer at %s: %w\n%s", s.addr, context.Cause(ctx), proc.output(2<<10)), err)
		}
	}
}

// prepare initialises a new server, and unseals it.
func (s *Server) prepare(ctx context.Context) error {
	client, err := s.client("")
	if err != nil {
		return err
	}
	status, err := client.Sys().SealStatusWithContext(ctx)
	if err != nil {
		return fmt.Errorf("ask the Vault-API server for its state: %w", err)
	}
	if !status.Initialized {
		if err := s.initialise(ctx, client); err != nil {
			return err
		}
	}
	if s.secret.UnsealKey == "" {
		return fmt.Errorf("%s holds a Vault-API server's data but not its unseal key (%s): bring the file back, or give another directory", s.opts.Dir, secretFile)
	}
	if err := s.Unseal(ctx); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(s.opts.Dir, pendingFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("note that the server is initialised: %w", err)
	}
	return nil
}

// initialise makes the unseal key and the root token. A start that dies between the server's answer and the file
// leaves the pending mark, and the next one begins again: nobody can have used a server without its key.
func (s *Server) initialise(ctx context.Context, client *api.Client) error {
	if err := os.WriteFile(filepath.Join(s.opts.Dir, pendingFile), nil, 0o600); err != nil {
		return fmt.Errorf("note that the server is being initialised: %w", err)
	}
	init, err := client.Sys().InitWithContext(ctx, &api.InitRequest{SecretShares: 1, SecretThreshold: 1})
	if err != nil {
		return fmt.Errorf("initialise the Vault-API server: %w", err)
	}
	if len(init.Keys) != 1 || init.RootToken == "" {
		return fmt.Errorf("initialise the Vault-API server: it answered with %d keys, one was asked for", len(init.Keys))
	}
	s.secret = secret{UnsealKey: init.Keys[0], RootToken: init.RootToken, Storage: s.kind}
	raw, err := json.MarshalIndent(s.secret, "", "  ")
	if err != nil {
		return fmt.Errorf("write the unseal key: %w", err)
	}
	file := filepath.Join(s.opts.Dir, secretFile)
	if err := writeDurably(file, raw); err != nil {
		return fmt.Errorf("write the unseal key: %w", err)
	}
	return nil
}

// writeDurably writes a file that is there whole, or not at all.
func writeDurably(file string, raw []byte) error {
	f, err := os.OpenFile(file+".part", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(file+".part", file)
}

// readSecret reads the unseal key, and clears what a start left that died before it had one.
func (s *Server) readSecret() error {
	raw, err := os.ReadFile(filepath.Join(s.opts.Dir, secretFile))
	if err == nil {
		if err := json.Unmarshal(raw, &s.secret); err != nil {
			return fmt.Errorf("read %s of the Vault-API server: %w", secretFile, err)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the unseal key: %w", err)
	}
	if _, err := os.Stat(filepath.Join(s.opts.Dir, pendingFile)); err != nil {
		return nil //nolint:nilerr // nothing was begun
	}
	storage := filepath.Join(s.opts.Dir, storageDir)
	if err := errors.Join(os.RemoveAll(storage), os.Mkdir(storage, 0o700)); err != nil {
		return fmt.Errorf("clear what an interrupted start left: %w", err)
	}
	return nil
}

// takeOver returns the address of the directory's last server, and ends that server when its owner is gone. A live
// one is an error: two servers would spoil the data. The root token proves that what answers is the directory's own.
func (s *Server) takeOver(ctx context.Context) (string, error) {
	raw, err := os.ReadFile(filepath.Join(s.opts.Dir, runningFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	var last running
	if err == nil {
		err = json.Unmarshal(raw, &last)
	}
	if err != nil {
		return "", fmt.Errorf("read who served the directory last: %w", err)
	}
	s.addr = last.Address
	if !s.answersOurToken(ctx) {
		return last.Address, nil
	}
	if alive(last.Owner) {
		return "", fmt.Errorf("%s is served already, by process %d at %s for process %d: stop that one, or give another directory",
			s.opts.Dir, last.Server, last.Address, last.Owner)
	}
	s.opts.Log.Info("ending the Vault-API server of a process that is gone", "server", last.Server, "owner", last.Owner)
	p, err := os.FindProcess(last.Server)
	if err != nil {
		return "", fmt.Errorf("find the server of a process that is gone: %w", err)
	}
	if err := p.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return "", fmt.Errorf("end the server of a process that is gone: %w", err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for s.answersOurToken(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", fmt.Errorf("wait for the end of process %d: %w", last.Server, context.Cause(ctx))
		}
	}
	return last.Address, nil
}

func (s *Server) answersOurToken(ctx context.Context) bool {
	client, err := s.client(s.secret.RootToken)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err = client.Auth().Token().LookupSelfWithContext(ctx)
	return err == nil
}

func (s *Server) client(token string) (*api.Client, error) {
	client, err := api.NewClient(&api.Config{Address: s.URL(), Timeout: 10 * time.Second})
	if err != nil {
		return nil, fmt.Errorf("make a client of the Vault-API server: %w", err)
	}
	client.ClearNamespace()
	client.SetToken(token)
	return client, nil
}

// pickAddress returns what was asked for, else the last address when nobody listens there, else a free one. It lies
// below the range from which systems take the ports of outgoing connections, so that none of those takes it while the
// server is down.
func pickAddress(asked, last string) (string, error) {
	if asked != "" {
		return asked, nil
	}
	const low, high = 18_000, 31_000
	at := last
	for range 1000 {
		if at == "" {
			at = net.JoinHostPort("127.0.0.1", strconv.Itoa(low+rand.IntN(high-low))) //nolint:gosec // a port is no secret
		}
		if l, err := net.Listen("tcp4", at); err == nil {
			return at, l.Close()
		}
		at = ""
	}
	return "", fmt.Errorf("no free port on 127.0.0.1 between %d and %d", low, high)
}
