//go:build synctests

package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// network joins nodes to brokers in memory. The delay of every message is a pure function of the seed, the
// connection's name, the direction and the message's number.
type network struct {
	seed uint64

	mu        sync.Mutex
	listeners map[string]*listener
	links     []*link
	names     map[string]uint64 // connections so far, by pair
	refused   map[string]time.Time
	lose      map[int16]int // responses still to be lost, by request key
	stats     netStats
}

type netStats struct{ messages, lost, dropped int }

func newNetwork(seed uint64) *network {
	return &network{
		seed: seed, listeners: map[string]*listener{}, names: map[string]uint64{},
		refused: map[string]time.Time{}, lose: map[int16]int{},
	}
}

type simAddr string

func (simAddr) Network() string  { return "sim" }
func (a simAddr) String() string { return string(a) }

// listener is a broker's.
type listener struct {
	n      *network
	addr   simAddr
	accept chan *end
	closed chan struct{}
	once   sync.Once
}

// listen is kfake's ListenFn: it is called once for each broker.
func (n *network) listen(string, string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	addr := simAddr(fmt.Sprintf("broker%d:9092", len(n.listeners)))
	l := &listener{n: n, addr: addr, accept: make(chan *end, 1000), closed: make(chan struct{})}
	n.listeners[string(addr)] = l
	return l, nil
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return l.addr }

// peer is what the network must know of the process at a connection's client end.
type peer interface {
	// name is stable over the process's lives.
	name() string
	// stalledUntil is when the process's traffic goes on; zero when it does.
	stalledUntil() time.Time
	// effect is called before a write leaves the process; it may kill the process, and tells whether it lives.
	effect() bool
}

// bystander is a process that no fault meets: the source of the input, and the observer.
type bystander string

func (b bystander) name() string          { return string(b) }
func (bystander) stalledUntil() time.Time { return time.Time{} }
func (bystander) effect() bool            { return true }

// link is one connection.
type link struct {
	n          *network
	name       uint64
	p          peer
	broker     string
	client     *end
	server     *end
	mu         sync.Mutex
	keys       map[uint32]int16 // requests in flight, by correlation id
	blackholed bool             // nothing passes any more and nobody is told
}

// end is one side of a link, and what is under way to it.
type end struct {
	l      *link
	server bool

	mu       sync.Mutex
	queue    []packet
	last     time.Time // arrival of the newest packet
	sent     uint64
	eof      time.Time // when the other side's close arrives
	closed   bool
	deadline time.Time
	changed  chan struct{}
}

type packet struct {
	at   time.Time
	data []byte
}

var (
	errRefused = errors.New("connection refused")
	errReset   = errors.New("connection reset")
)

func (n *network) dial(ctx context.Context, p peer, addr string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[addr]
	until := n.refused[addr]
	pair := p.name() + ">" + addr
	n.names[pair]++
	id := mix(n.seed, mixString(pair), n.names[pair])
	n.mu.Unlock()
	delay := n.delay(id, 2, 0)
	if s := p.stalledUntil(); !s.IsZero() {
		delay = max(delay, time.Until(s))
	}
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if !p.effect() {
		return nil, errReset
	}
	if l == nil || time.Now().Before(until) {
		return nil, errRefused
	}
	k := &link{n: n, name: id, p: p, broker: addr, keys: map[uint32]int16{}}
	k.client = &end{l: k, changed: make(chan struct{})}
	k.server = &end{l: k, server: true, changed: make(chan struct{})}
	n.mu.Lock()
	n.links = append(n.links, k)
	n.mu.Unlock()
	select {
	case l.accept <- k.server:
		return k.client, nil
	case <-l.closed:
		return nil, errRefused
	}
}

// delay of one message: 0.2 to 3.2 ms, one in sixty-four up to 80 ms.
func (n *network) delay(id, direction, number uint64) time.Duration {
	h := mix(n.seed, id, direction, number)
	d := 200*time.Microsecond + time.Duration(h%3_000_000)
	if (h>>40)%64 == 0 {
		d += time.Duration((h >> 20) % 80_000_000)
	}
	return d
}

// refuse makes a broker unreachable for a while and cuts what is connected to it.
func (n *network) refuse(addr string, d time.Duration) {
	n.mu.Lock()
	n.refused[addr] = time.Now().Add(d)
	n.mu.Unlock()
	n.each(func(l *link) {
		if l.broker == addr {
			l.cut()
		}
	})
}

// loseResponses arms the loss of the next count responses to a kind of request, after the broker acted.
func (n *network) loseResponses(key int16, count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lose[key] += count
}

func (n *network) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.lose)
	clear(n.refused)
}

// each calls f with the open links.
func (n *network) each(f func(*link)) {
	n.mu.Lock()
	open := n.links[:0]
	for _, l := range n.links {
		if !l.client.isClosed() || !l.server.isClosed() {
			open = append(open, l)
		}
	}
	n.links = open
	all := append([]*link(nil), open...)
	n.mu.Unlock()
	for _, l := range all {
		f(l)
	}
}

// cut closes a link at both ends.
func (l *link) cut() {
	_ = l.client.Close() // an end's Close never fails
	_ = l.server.Close()
}

// blackhole lets nothing pass any more; the ends learn nothing of it.
func (l *link) blackhole() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.blackholed = true
}

func (l *link) isBlackholed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.blackholed
}

// request remembers what kind of request a correlation id stands for. franz-go writes each request in one piece, as
// kfake does with responses.
func (l *link) request(b []byte) {
	if len(b) < 12 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keys[binary.BigEndian.Uint32(b[8:])] = int16(binary.BigEndian.Uint16(b[4:]))
}

// loses tells whether this response is to be lost.
func (l *link) loses(b []byte) bool {
	if len(b) < 8 {
		return false
	}
	l.mu.Lock()
	corr := binary.BigEndian.Uint32(b[4:])
	key, ok := l.keys[corr]
	delete(l.keys, corr)
	l.mu.Unlock()
	if _, faultless := l.p.(bystander); !ok || faultless {
		return false
	}
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	if l.n.lose[key] == 0 {
		return false
	}
	l.n.lose[key]--
	l.n.stats.lost++
	return true
}

func (e *end) other() *end {
	if e.server {
		return e.l.client
	}
	return e.l.server
}

func (e *end) isClosed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed
}

// tell wakes whoever waits on this end; mu is held.
func (e *end) tell() {
	close(e.changed)
	e.changed = make(chan struct{})
}

func (e *end) Write(b []byte) (int, error) {
	if e.isClosed() {
		return 0, net.ErrClosed
	}
	if e.server {
		if e.l.loses(b) {
			e.l.cut()
			return 0, errReset
		}
	} else {
		if !e.l.p.effect() {
			return 0, errReset
		}
		e.l.request(b)
	}
	if e.l.isBlackholed() {
		return len(b), nil
	}
	to := e.other()
	to.mu.Lock()
	defer to.mu.Unlock()
	if to.closed || !to.eof.IsZero() {
		return 0, errReset
	}
	to.sent++
	direction := uint64(0)
	if e.server {
		direction = 1
	}
	at := time.Now().Add(e.l.n.delay(e.l.name, direction, to.sent))
	if at.Before(to.last) {
		at = to.last
	}
	to.last = at
	to.queue = append(to.queue, packet{at, append([]byte(nil), b...)})
	to.tell()
	e.l.n.mu.Lock()
	e.l.n.stats.messages++
	e.l.n.mu.Unlock()
	return len(b), nil
}

func (e *end) Read(b []byte) (int, error) {
	for {
		now := time.Now()
		stalled := e.l.p.stalledUntil()
		e.mu.Lock()
		if e.closed {
			e.mu.Unlock()
			return 0, net.ErrClosed
		}
		if !e.deadline.IsZero() && !now.Before(e.deadline) {
			e.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		}
		var at time.Time
		switch {
		case len(e.queue) > 0:
			at = e.queue[0].at
		case !e.eof.IsZero():
			at = e.eof
		}
		if !at.IsZero() && at.Before(stalled) {
			at = stalled
		}
		if !at.IsZero() && !now.Before(at) {
			if len(e.queue) == 0 {
				e.mu.Unlock()
				return 0, io.EOF
			}
			n := copy(b, e.queue[0].data)
			if n == len(e.queue[0].data) {
				e.queue = e.queue[1:]
			} else {
				e.queue[0].data = e.queue[0].data[n:]
			}
			e.mu.Unlock()
			return n, nil
		}
		if !e.deadline.IsZero() && (at.IsZero() || e.deadline.Before(at)) {
			at = e.deadline
		}
		changed := e.changed
		e.mu.Unlock()
		if at.IsZero() {
			<-changed
			continue
		}
		t := time.NewTimer(at.Sub(now))
		select {
		case <-changed:
		case <-t.C:
		}
		t.Stop()
	}
}

func (e *end) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	e.queue = nil
	e.tell()
	e.mu.Unlock()
	if e.l.isBlackholed() {
		return nil
	}
	to := e.other()
	to.mu.Lock()
	defer to.mu.Unlock()
	if to.eof.IsZero() {
		to.eof = time.Now().Add(time.Millisecond)
		if to.eof.Before(to.last) {
			to.eof = to.last
		}
		to.tell()
	}
	return nil
}

func (e *end) LocalAddr() net.Addr {
	if e.server {
		return simAddr(e.l.broker)
	}
	return simAddr(e.l.p.name() + ":1")
}

func (e *end) RemoteAddr() net.Addr { return e.other().LocalAddr() }

func (e *end) SetDeadline(t time.Time) error { return e.SetReadDeadline(t) }

func (e *end) SetReadDeadline(t time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.deadline = t
	e.tell()
	return nil
}

// SetWriteDeadline has nothing to do: a write never waits.
func (e *end) SetWriteDeadline(time.Time) error { return nil }

// unplug ends the broker's side of a connection whose other end is long gone.
func (l *link) unplug() {
	l.server.mu.Lock()
	defer l.server.mu.Unlock()
	if l.server.eof.IsZero() {
		l.server.eof = time.Now()
		l.server.tell()
	}
}
