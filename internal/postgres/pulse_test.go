package postgres_test

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"go.uber.org/goleak"

	"github.com/fairleadio/fairlead/internal/postgres"
)

// icyServer speaks as much of Postgres' protocol as a ping needs, and can be frozen: then it takes connections, as the
// kernel does for a stopped process, and says nothing.
type icyServer struct {
	listener net.Listener
	ice      sync.RWMutex // held for writing while frozen
	wg       sync.WaitGroup
}

func newIcyServer(t *testing.T) *icyServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &icyServer{listener: l}
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() {
				defer c.Close()
				s.serve(c)
			})
		}
	})
	t.Cleanup(func() {
		s.close()
	})
	return s
}

func (s *icyServer) close() {
	_ = s.listener.Close() // a test may have closed it before
	s.wg.Wait()
}

func (s *icyServer) url() string {
	return "postgres://ann@" + s.listener.Addr().String() + "/db?sslmode=disable"
}

func (s *icyServer) serve(c net.Conn) {
	b := pgproto3.NewBackend(c, c)
	if _, err := b.ReceiveStartupMessage(); err != nil {
		return
	}
	say := func(m ...pgproto3.BackendMessage) error {
		s.ice.RLock()
		defer s.ice.RUnlock()
		for _, one := range append(m, &pgproto3.ReadyForQuery{TxStatus: 'I'}) {
			b.Send(one)
		}
		return b.Flush()
	}
	for err := say(&pgproto3.AuthenticationOk{}); err == nil; err = say(&pgproto3.EmptyQueryResponse{}) {
		m, err := b.Receive()
		if _, bye := m.(*pgproto3.Terminate); err != nil || bye {
			return
		}
	}
}

// logLines hands the texts of a log to a test.
type logLines chan string

func (l logLines) Enabled(context.Context, slog.Level) bool { return true }
func (l logLines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l logLines) WithGroup(string) slog.Handler            { return l }
func (l logLines) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += " " + a.String()
		return true
	})
	l <- text
	return nil
}

func (l logLines) want(t *testing.T, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		select {
		case line := <-l:
			if strings.Contains(line, text) {
				return
			}
		case <-ctx.Done():
			t.Fatalf("nobody logged %q", text)
		}
	}
}

// A server that is frozen refuses nothing, and is told of all the same; so is the end of it.
func TestPulse(t *testing.T) {
	defer goleak.VerifyNone(t)
	s := newIcyServer(t)
	lines := make(logLines, 100)
	p, err := postgres.NewPulse(t.Context(), postgres.PulseConfig{
		Server: postgres.Config{URL: s.url()}, Every: time.Millisecond, Patience: 50 * time.Millisecond, Repeat: 100 * time.Millisecond, Log: slog.New(lines),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	defer func() {
		stop()
		running.Wait()
		p.Close()
		s.close()
	}()
	s.ice.Lock()
	lines.want(t, "waiting for Postgres")
	lines.want(t, "waiting for Postgres") // it is repeated
	if w := p.Waiting(); !strings.HasPrefix(w, "waiting for Postgres "+s.listener.Addr().String()+" since ") {
		t.Errorf("a frozen server: %q", w)
	}
	s.ice.Unlock()
	lines.want(t, "Postgres answers again")
}

// A server that still answers on old connections and takes no new ones is told of by those who try to connect.
func TestPulseOfConnections(t *testing.T) {
	s := newIcyServer(t)
	p, err := postgres.NewPulse(t.Context(), postgres.PulseConfig{Server: postgres.Config{URL: s.url()}, Patience: time.Nanosecond, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	pool, err := postgres.Open(t.Context(), postgres.Config{URL: s.url(), Pulse: p})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	s.ice.Lock()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := pool.Ping(ctx); err == nil {
		t.Error("a frozen server answered")
	}
	if w := p.Waiting(); !strings.Contains(w, "waiting for Postgres") {
		t.Errorf("after a failed attempt: %q", w)
	}
	s.ice.Unlock()
	if err := pool.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The pool may have made another connection at the same time.
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for p.Waiting() != "" {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatalf("after one that succeeded: %q", p.Waiting())
		}
	}
}
