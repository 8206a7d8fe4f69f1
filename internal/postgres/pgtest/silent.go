package pgtest

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// Faltering passes connections on to a server, until it takes every login itself and says nothing more.
type Faltering struct {
	// Address is host:port.
	Address string

	mute  atomic.Bool
	asked atomic.Int32
}

// Falter makes one; without a server's address it is mute from the start. It must be made before whatever connects to
// it, for it ends when they have.
func Falter(t testing.TB, server string) *Faltering {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &Faltering{Address: l.Addr().String()}
	f.mute.Store(server == "")
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

// Mute makes it silent for those who log in from here on.
func (f *Faltering) Mute() { f.mute.Store(true) }

// Asked counts what it was asked since then, and did not answer.
func (f *Faltering) Asked() int { return int(f.asked.Load()) }

func (f *Faltering) silence(c net.Conn) {
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
		f.asked.Add(1)
	}
}
