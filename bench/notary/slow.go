package main

import (
	"context"
	"encoding/binary"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// slowCommits dials connections on which each request that ends a transaction is sent that much later. What a client sends
// on the connection after it comes after it, as on any connection; other connections are not held up.
func slowCommits(by time.Duration) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return slow(c, by), nil
	}
}

// slowConn is such a connection. Requests are written by a goroutine that ends with it.
type slowConn struct {
	net.Conn
	by    time.Duration
	queue chan held
	done  chan struct{}
	close func() error
}

// held is a request and when it is sent.
type held struct {
	request []byte
	due     time.Time
}

// queued is how many requests wait in one connection before its writer waits.
const queued = 1024

func slow(c net.Conn, by time.Duration) *slowConn {
	s := &slowConn{Conn: c, by: by, queue: make(chan held, queued), done: make(chan struct{})}
	s.close = sync.OnceValue(func() error {
		close(s.done)
		return s.Conn.Close()
	})
	go s.send()
	return s
}

func (s *slowConn) send() {
	for {
		select {
		case h := <-s.queue:
			wait := time.NewTimer(time.Until(h.due))
			select {
			case <-wait.C:
			case <-s.done:
				wait.Stop()
				return
			}
			if _, err := s.Conn.Write(h.request); err != nil {
				_ = s.Close() // the client sees that it is closed
				return
			}
		case <-s.done:
			return
		}
	}
}

// Write takes a request. The client writes each with one call.
func (s *slowConn) Write(b []byte) (int, error) {
	h := held{append([]byte(nil), b...), time.Now()}
	if endsTransaction(b) {
		h.due = h.due.Add(s.by)
	}
	select {
	case s.queue <- h:
		return len(b), nil
	case <-s.done:
		return 0, net.ErrClosed
	}
}

// Close ends the connection and its writer.
func (s *slowConn) Close() error { return s.close() }

// endsTransaction tells whether a request, with its length before it, is an EndTxn.
func endsTransaction(b []byte) bool {
	return len(b) >= 6 && kmsg.Key(binary.BigEndian.Uint16(b[4:])) == kmsg.EndTxn
}
