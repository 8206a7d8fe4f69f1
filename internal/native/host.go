package native

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
)

// Frames, as package native of the SDK describes them.
const (
	kindStart   = 'S'
	kindResume  = 'R'
	kindRelease = 'X'
	kindYield   = 'Y'
	kindLog     = 'L'

	headBytes = 9
	maxFrame  = 64 << 20
)

// errGone says that the program went away while it ran a step.
var errGone = errors.New("the application's program went away")

// Host is where programs connect.
type Host struct {
	listener net.Listener
	log      *slog.Logger
	work     sync.WaitGroup

	mu     sync.Mutex
	prog   *program
	came   chan struct{} // closed when a program connects
	next   uint64
	closed bool
	// arrived counts the programs that connected; ends those that ended by themselves, the last with this reason.
	arrived, ends uint64
	reason        string
	news          chan struct{} // closed when a program connects, also in another's place
}

// Listen opens a host on a free port of this machine.
func Listen(log *slog.Logger) (*Host, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the application's program: %w", err)
	}
	h := &Host{listener: l, log: log, came: make(chan struct{}), news: make(chan struct{})}
	h.work.Go(h.accept)
	return h, nil
}

// Address is what the program's environment variable FAIRLEAD_NATIVE is set to.
func (h *Host) Address() string { return h.listener.Addr().String() }

// Close ends the connection. Instances fail afterwards.
func (h *Host) Close() error {
	err := h.listener.Close()
	h.mu.Lock()
	h.closed = true
	p := h.prog
	h.mu.Unlock()
	if p != nil {
		_ = p.conn.Close() // the reader notices
	}
	h.work.Wait()
	return err
}

func (h *Host) accept() {
	for {
		conn, err := h.listener.Accept()
		if err != nil { // the listener was closed
			return
		}
		p := &program{conn: conn, gone: make(chan struct{}), waiting: map[uint64]*call{}}
		h.mu.Lock()
		old, closed := h.prog, h.closed
		h.prog = p
		h.arrived++
		close(h.news)
		h.news = make(chan struct{})
		if old == nil {
			close(h.came)
		}
		h.mu.Unlock()
		if old != nil {
			_ = old.conn.Close()
		}
		if closed {
			_ = conn.Close()
		}
		h.log.Info("the application's program is here", "address", conn.RemoteAddr().String())
		h.work.Go(func() {
			p.read()
			h.mu.Lock()
			if h.prog == p {
				h.prog, h.came = nil, make(chan struct{})
			}
			h.mu.Unlock()
			close(p.gone) // after it: who is told so then finds the next one
			h.log.Info("the application's program is gone", "address", conn.RemoteAddr().String())
		})
	}
}

// program waits for a program that is connected.
func (h *Host) program(ctx context.Context) (*program, error) {
	for {
		h.mu.Lock()
		p, came, closed := h.prog, h.came, h.closed
		h.mu.Unlock()
		switch {
		case closed:
			return nil, errors.New("the host of native flows is closed")
		case p != nil:
			return p, nil
		}
		h.log.Info("flows wait for the application's program: start it with FAIRLEAD_NATIVE=" + h.Address())
		select {
		case <-came:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the application's program at %s: %w", h.Address(), context.Cause(ctx))
		}
	}
}

// Arrived tells how many programs have connected so far, and whether one is here.
func (h *Host) Arrived() (n uint64, here bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.arrived, h.prog != nil
}

// WaitArrival waits until more than n programs have connected.
func (h *Host) WaitArrival(ctx context.Context, n uint64) error {
	for {
		h.mu.Lock()
		arrived, news := h.arrived, h.news
		h.mu.Unlock()
		if arrived > n {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return fmt.Errorf("wait for the application's program at %s: %w", h.Address(), context.Cause(ctx))
		}
	}
}

// Ended tells the host that a program ended by itself, and why. It must be told before the next one is started: flows
// whose step ends [crashes] programs are given up with this reason.
func (h *Host) Ended(reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ends++
	h.reason = reason
}

func (h *Host) lastEnd() (ends uint64, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ends, h.reason
}

func (h *Host) id() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.next++
	return h.next
}

// program is one connection.
type program struct {
	conn net.Conn
	gone chan struct{}

	mu      sync.Mutex
	waiting map[uint64]*call
}

// call is a step under way.
type call struct {
	yield chan []byte
	log   func(string)
}

// read takes what the program sends until the connection ends.
func (p *program) read() {
	defer p.conn.Close()
	in := bufio.NewReader(p.conn)
	for {
		id, kind, content, err := readFrame(in)
		if err != nil {
			return
		}
		p.mu.Lock()
		c := p.waiting[id]
		if kind == kindYield {
			delete(p.waiting, id)
		}
		p.mu.Unlock()
		switch {
		case c == nil: // an instance that nobody waits for any more
		case kind == kindLog:
			c.log(string(content))
		case kind == kindYield:
			c.yield <- content
		}
	}
}

func readFrame(r io.Reader) (id uint64, kind byte, content []byte, err error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return 0, 0, nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < headBytes || n > maxFrame {
		return 0, 0, nil, fmt.Errorf("a frame of %d bytes came", n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return 0, 0, nil, fmt.Errorf("read a frame: %w", err)
	}
	return binary.BigEndian.Uint64(b), b[8], b[headBytes:], nil
}

// step calls an instance of the program and waits for its yield.
func (p *program) step(ctx context.Context, id uint64, kind byte, content []byte, log func(string)) ([]byte, error) {
	c := &call{yield: make(chan []byte, 1), log: log}
	p.mu.Lock()
	p.waiting[id] = c
	p.mu.Unlock()
	if err := p.send(id, kind, content); err != nil {
		_ = p.conn.Close() // the reader notices
		<-p.gone
		return nil, fmt.Errorf("%w: %w", errGone, err)
	}
	select {
	case y := <-c.yield:
		return y, nil
	case <-p.gone:
		select {
		case y := <-c.yield: // it came just before
			return y, nil
		default:
			return nil, errGone
		}
	case <-ctx.Done():
		return nil, fmt.Errorf("run a step in the application's program: %w", context.Cause(ctx))
	}
}

func (p *program) send(id uint64, kind byte, content []byte) error {
	b := binary.BigEndian.AppendUint32(nil, uint32(headBytes+len(content)))
	b = append(binary.BigEndian.AppendUint64(b, id), kind)
	_, err := p.conn.Write(append(b, content...)) // one write: frames of several goroutines do not mix
	return err
}
