package pgserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fairleadio/fairlead/internal/postgres"
)

// User is the superuser of a private server.
const User = "fairlead"

// Options say how a server runs. Dir must be set.
type Options struct {
	// Dir is the server's folder; it is made when missing, and holds data, log and password.
	Dir string
	// Durable keeps what was committed also when the machine loses power. Without it the data are worth nothing after
	// a crash of the machine.
	Durable bool
	// Port is 0 for one that is free.
	Port int
	// MaxConnections bounds connections. Default 200.
	MaxConnections int
	// Settings are added to the server's, and win.
	Settings map[string]string
	// StartTimeout bounds the start, recovery after a crash included. Default one minute.
	StartTimeout time.Duration
}

// Server is a running Postgres.
type Server struct {
	opts     Options
	binaries Binaries
	account  account
	password string
	port     int

	mu   sync.Mutex // guards proc
	proc *process
}

// process is a server's process.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // read after done
}

// Start makes the data directory if needed, starts the server and waits until it answers. ctx bounds the start, not
// the server's life; Stop ends it.
func Start(ctx context.Context, opts Options) (*Server, error) {
	if opts.MaxConnections == 0 {
		opts.MaxConnections = 200
	}
	if opts.StartTimeout == 0 {
		opts.StartTimeout = time.Minute
	}
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("folder of the database %s: %w", opts.Dir, err)
	}
	opts.Dir = dir
	s := &Server{opts: opts}
	if s.binaries, err = Find(ctx); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of the database: %w", err)
	}
	if s.account, err = accountFor(dir); err != nil {
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	if err := s.Restart(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Server) data() string         { return filepath.Join(s.opts.Dir, "data") }
func (s *Server) passwordFile() string { return filepath.Join(s.opts.Dir, "password") }

// LogFile is where the server writes.
func (s *Server) LogFile() string { return filepath.Join(s.opts.Dir, "postgres.log") }

// Version returns the server's version.
func (s *Server) Version() string { return s.binaries.Version }

// Port returns the port on 127.0.0.1.
func (s *Server) Port() int { return s.port }

// URL returns the address of a database of the server, password included.
func (s *Server) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(User, s.password), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)),
		Path: "/" + database, RawQuery: "sslmode=disable"}
	return u.String()
}

// Password returns the superuser's password.
func (s *Server) Password() string { return s.password }

// Ensure makes the databases that are missing. A development cluster has two: the cluster's own and that of its virtual
// nodes; with their addresses, a key of package seal and an administrator's password, the database worker does the rest.
func (s *Server) Ensure(ctx context.Context, databases ...string) error {
	pool, err := postgres.Open(ctx, postgres.Config{URL: s.URL("postgres"), MaxConns: 1})
	if err != nil {
		return err
	}
	defer pool.Close()
	for _, name := range databases {
		var there bool
		if err := pool.One(ctx, []any{&there}, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name); err != nil {
			return err
		}
		if there {
			continue
		}
		if _, err := pool.Exec(ctx, "CREATE DATABASE "+postgres.Identifier(name)); err != nil {
			return err
		}
	}
	return nil
}

// prepare runs initdb where it has not run to its end.
func (s *Server) prepare(ctx context.Context) error {
	password, err := os.ReadFile(s.passwordFile())
	switch {
	case err == nil:
		s.password = strings.TrimSpace(string(password))
		return s.checkVersion()
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("read the database's password: %w", err)
	}
	// The password file is written last: without it, what is there is the rest of an attempt.
	if err := os.RemoveAll(s.data()); err != nil {
		return fmt.Errorf("clear what an attempt to make the database left: %w", err)
	}
	s.password = rand.Text()
	secret := filepath.Join(s.opts.Dir, "initdb-password")
	if err := os.WriteFile(secret, []byte(s.password+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the database's password: %w", err)
	}
	defer func() { _ = os.Remove(secret) }() // it lies in a folder that only this user reads
	if err := s.account.own(s.opts.Dir, secret); err != nil {
		return err
	}
	args := []string{"-D", s.data(), "-U", User, "--auth=scram-sha-256", "--pwfile=" + secret, "-E", "UTF8", "--locale=C"}
	if !s.opts.Durable {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.binaries.Dir, "initdb"), args...)
	s.run(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make the database in %s: initdb: %w\n%s", s.opts.Dir, err, bytes.TrimSpace(out))
	}
	if err := os.WriteFile(s.passwordFile(), []byte(s.password+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the database's password: %w", err)
	}
	return nil
}

// run gives a command the account and a folder that the account may be in.
func (s *Server) run(cmd *exec.Cmd) {
	s.account.apply(cmd)
	cmd.Dir = s.opts.Dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
}

func (s *Server) checkVersion() error {
	b, err := os.ReadFile(filepath.Join(s.data(), "PG_VERSION"))
	if err != nil {
		return fmt.Errorf("read the version of the database in %s: %w", s.opts.Dir, err)
	}
	if v := strings.TrimSpace(string(b)); v != strconv.Itoa(s.binaries.Major) {
		return fmt.Errorf("FL-PG-002: the database in %s is of PostgreSQL %s, and the programs in %s are of %d: name those of version %s in %s, or take another folder",
			s.opts.Dir, v, s.binaries.Dir, s.binaries.Major, v, BinVariable)
	}
	return nil
}

func (s *Server) settings() []string {
	set := map[string]string{
		"listen_addresses": "127.0.0.1", "port": strconv.Itoa(s.port), "unix_socket_directories": "", "max_connections": strconv.Itoa(s.opts.MaxConnections),
		"shared_buffers": "64MB", "wal_level": "minimal", "max_wal_senders": "0", "log_timezone": "UTC", "timezone": "UTC", "jit": "off",
		"password_encryption": "scram-sha-256", "logging_collector": "off", "log_min_messages": "warning", "bonjour": "off",
	}
	if !s.opts.Durable {
		// Commits still wait until the system has their log: what is committed outlives the server's own end.
		set["fsync"], set["full_page_writes"] = "off", "off"
	}
	for k, v := range s.opts.Settings {
		set[k] = v
	}
	var args []string
	for k, v := range set {
		args = append(args, "-c", k+"="+v)
	}
	return args
}

// Restart starts the server after a Stop or Kill, on the same port, and waits until it answers.
func (s *Server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil {
		return errors.New("the database server runs already")
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.StartTimeout)
	defer cancel()
	if err := s.endFormer(ctx); err != nil {
		return err
	}
	if s.port == 0 {
		s.port = s.opts.Port
	}
	if s.port == 0 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("find a free port: %w", err)
		}
		s.port = l.Addr().(*net.TCPAddr).Port
		if err := l.Close(); err != nil {
			return fmt.Errorf("find a free port: %w", err)
		}
	}
	for {
		p, err := s.launch(ctx)
		if err == nil {
			s.proc = p
			return nil
		}
		if !errors.Is(err, errFormerEnds) {
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// errFormerEnds tells that children of a server that was killed still end: Postgres refuses to start while they have
// its shared memory.
var errFormerEnds = errors.New("children of the former postgres are about to end")

// launch starts the server's process once and waits until it answers.
func (s *Server) launch(ctx context.Context) (*process, error) {
	log, err := os.OpenFile(s.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the database's log: %w", err)
	}
	before, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the database's log: %w", err), log.Close())
	}
	cmd := exec.Command(filepath.Join(s.binaries.Dir, "postgres"), append([]string{"-D", s.data()}, s.settings()...)...)
	s.run(cmd)
	cmd.Stdout, cmd.Stderr = log, log
	bindToParent(cmd)
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The kernel watches the thread that started the child: it must live as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer log.Close()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	if err := s.waitReady(ctx, p); err != nil {
		_ = p.cmd.Process.Kill() // it may have ended by itself
		<-p.done
		if strings.Contains(s.logSince(before), "pre-existing shared memory block") {
			err = fmt.Errorf("%w: %w", errFormerEnds, err)
		}
		return nil, fmt.Errorf("%w; the end of %s:\n%s", err, s.LogFile(), s.LogTail(2<<10))
	}
	return p, nil
}

// logSince returns what the log has after its first n bytes.
func (s *Server) logSince(n int64) string {
	b, err := os.ReadFile(s.LogFile())
	if err != nil || n > int64(len(b)) {
		return ""
	}
	return string(b[n:])
}

func (s *Server) waitReady(ctx context.Context, p *process) error {
	pool, err := postgres.Open(ctx, postgres.Config{URL: s.URL("postgres"), MaxConns: 1, ConnectTimeout: 2 * time.Second})
	if err != nil {
		return err
	}
	defer pool.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := pool.Ping(ctx)
		if err == nil {
			return nil
		}
		if postgres.ClassOf(err) == postgres.Access {
			return fmt.Errorf("the database in %s does not know the password in %s: %w", s.opts.Dir, s.passwordFile(), err)
		}
		select {
		case <-p.done:
			return fmt.Errorf("postgres ended while it started (%v)", p.err) //nolint:errorlint // nil when it ended well
		case <-ctx.Done():
			return fmt.Errorf("postgres does not answer: %w", errors.Join(ctx.Err(), err))
		case <-tick.C:
		}
	}
}

// Stop ends the server: clients are disconnected, running transactions are rolled back. When ctx ends first, it is
// killed, and that is an error.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.proc
	if p == nil {
		return nil
	}
	s.proc = nil
	if err := askToStop(p.cmd.Process); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop postgres: %w", err)
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		err := p.cmd.Process.Kill()
		<-p.done
		return errors.Join(fmt.Errorf("postgres did not stop and was killed: %w", ctx.Err()), err)
	}
}

// Kill ends the server at once, as a crash would; the next Restart recovers.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.proc
	if p == nil {
		return nil
	}
	s.proc = nil
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill postgres: %w", err)
	}
	<-p.done
	return nil
}

// Done is closed when the server ends, whoever ended it; nil when it does not run.
func (s *Server) Done() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return nil
	}
	return s.proc.done
}

// LogTail returns the last bytes of the log.
func (s *Server) LogTail(n int) string {
	b, err := os.ReadFile(s.LogFile())
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	return string(b[max(0, len(b)-n):])
}

// endFormer stops a server that a former process of ours left behind on the same directory.
func (s *Server) endFormer(ctx context.Context) error {
	file := filepath.Join(s.data(), "postmaster.pid")
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	first, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 1 || !isPostgres(pid) {
		return nil // Postgres itself removes what is stale
	}
	proc, err := os.FindProcess(pid)
	if err != nil {
		return nil
	}
	if err := askToStop(proc); err != nil {
		return nil
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("FL-PG-003: another Postgres (process %d) runs on %s and does not stop: %w", pid, s.data(), ctx.Err())
		}
	}
}
