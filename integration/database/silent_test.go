package database_test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/fairleadio/fairlead/internal/postgres/pgtest"
	"github.com/fairleadio/fairlead/topics"
)

// faltering passes connections on to a server, until it takes every login itself and says nothing more.
type faltering struct {
	address string
	mute    atomic.Bool
	logins  atomic.Int32
}

func falter(t *testing.T, server string) *faltering {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &faltering{address: l.Addr().String()}
	var sessions sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		sessions.Wait()
	})
	sessions.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			sessions.Go(func() {
				defer func() { _ = c.Close() }()
				if f.mute.Load() {
					f.silence(c)
					return
				}
				s, err := net.Dial("tcp", server)
				if err != nil {
					return
				}
				defer func() { _ = s.Close() }()
				sessions.Go(func() {
					_, _ = io.Copy(s, c)
					_ = s.Close()
				})
				_, _ = io.Copy(c, s)
			})
		}
	})
	return f
}

func (f *faltering) silence(c net.Conn) {
	b := pgproto3.NewBackend(c, c)
	m, err := b.ReceiveStartupMessage()
	if _, cancels := m.(*pgproto3.CancelRequest); cancels || err != nil {
		return
	}
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{1, 2, 3, 4}})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if b.Flush() != nil {
		return
	}
	for {
		m, err := b.Receive()
		if _, ends := m.(*pgproto3.Terminate); ends || err != nil {
			return
		}
		f.logins.Add(1)
	}
}

// A virtual node whose database takes the login and says nothing waits alone: other requests go on.
func TestSilentDatabaseHoldsNobody(t *testing.T) {
	b := bring(t)
	u, err := url.Parse(b.url)
	if err != nil {
		t.Fatal(err)
	}
	f := falter(t, u.Host) // it ends when the worker has
	w := newWorld(t, pgtest.Database(t), pgtest.Database(t))
	w.callers = time.Hour // so that nothing but the silence is waited for
	w.start()
	checksum := w.installed(feeding("1"))
	hash, m := w.createWith("O=Alice, L=London, C=GB", checksum, b.at(b.ddl, b.password[b.ddl], "alice", f.address, ""), b.at(b.dml, b.password[b.dml], "alice", f.address, ""))
	w.must("vnode/"+hash, m, nil)
	w.succeeds(hash)
	w.must("vnode/"+hash, state(hash, maintenance), nil)
	f.mute.Store(true)
	w.producerSend("active", "vnode/"+hash, state(hash, active))
	w.until("the silent login", func() bool { return f.logins.Load() > 0 })
	w.must("config/corda.rbac", putConfig("corda.rbac", "{}", 0), nil)
	if _, ok := w.views[topics.Config].Get("corda.rbac"); !ok {
		t.Error("the change is not told")
	}
}
