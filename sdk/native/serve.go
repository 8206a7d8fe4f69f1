//go:build !wasip1

package native

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairleadio/fairlead/sdk/internal/registry"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
)

// A frame is the length of what follows (big-endian uint32), the number of a flow's instance (uint64), a kind, and a
// content. The cluster sends:
//
//	S  start: the flow's clock (int64, microseconds UTC), its seed (32 bytes), a fairlead.app.v1.Start
//	R  resume: the flow's clock, a fairlead.app.v1.Resume
//	X  release: the instance is not needed any more
//
// and gets:
//
//	Y  a fairlead.app.v1.Yield, one for each S and R
//	L  a line of the flow's log
const (
	kindStart   = 'S'
	kindResume  = 'R'
	kindRelease = 'X'
	kindYield   = 'Y'
	kindLog     = 'L'

	headBytes = 9
	maxFrame  = 64 << 20
)

// Serve runs flows for the cluster at the other end of a connection, until it is closed there. It closes it here.
func Serve(conn io.ReadWriteCloser) error {
	s := &server{out: conn, flows: map[uint64]*instance{}}
	defer func() {
		for _, f := range s.flows {
			f.release()
		}
		s.work.Wait()
		_ = conn.Close()
	}()
	in := bufio.NewReader(conn)
	for {
		id, kind, content, err := readFrame(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = s.take(id, kind, content)
		}
		if err != nil {
			return err
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

// server is one connection.
type server struct {
	mu    sync.Mutex // of out
	out   io.Writer
	flows map[uint64]*instance // of the reading goroutine alone
	work  sync.WaitGroup
}

// send writes a frame. When the cluster is gone, the reader notices.
func (s *server) send(id uint64, kind byte, content []byte) {
	b := binary.BigEndian.AppendUint32(nil, uint32(headBytes+len(content)))
	b = append(binary.BigEndian.AppendUint64(b, id), kind)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = s.out.Write(append(b, content...))
}

func (s *server) take(id uint64, kind byte, content []byte) error {
	f := s.flows[id]
	switch {
	case kind == kindStart && f == nil && len(content) >= 8+32:
		f = &instance{s: s, id: id, answers: make(chan []wire.Answer), quit: make(chan struct{})}
		f.clock.Store(int64(binary.BigEndian.Uint64(content)))
		f.random = rand.NewChaCha8([32]byte(content[8:40]))
		var start wire.Start
		if err := wire.Decode(content[40:], &start); err != nil {
			return fmt.Errorf("a start of the cluster: %w", err)
		}
		s.flows[id] = f
		s.work.Go(func() { f.run(&start) })
	case kind == kindResume && f != nil && len(content) >= 8:
		var r wire.Resume
		if err := wire.Decode(content[8:], &r); err != nil {
			return fmt.Errorf("a resume of the cluster: %w", err)
		}
		if !f.asking.Load() {
			return fmt.Errorf("the cluster resumed instance %d, which does not wait", id)
		}
		f.clock.Store(int64(binary.BigEndian.Uint64(content)))
		f.answers <- r.Answers
	case kind == kindRelease:
		if f != nil {
			f.release()
			delete(s.flows, id)
		}
	default:
		return fmt.Errorf("the cluster sent %q of %d bytes for instance %d", kind, len(content), id)
	}
	return nil
}

// instance is one flow; it is the flow's host.
type instance struct {
	s       *server
	id      uint64
	random  *rand.ChaCha8
	clock   atomic.Int64 // microseconds; the reader sets it while the flow waits
	asking  atomic.Bool
	answers chan []wire.Answer
	quit    chan struct{}
}

func (f *instance) run(start *wire.Start) {
	y := registry.List()
	if start.FlowClass != "" {
		y = registry.Run(f, start)
	}
	f.s.send(f.id, kindYield, wire.Encode(&y))
}

func (f *instance) release() { close(f.quit) }

// Exchange sends what the flow asks, and waits for the answers.
func (f *instance) Exchange(requests []wire.Request) []wire.Answer {
	if !f.asking.CompareAndSwap(false, true) {
		panic("flow: another goroutine of this flow waits for the platform already; use flow.All to wait for several things")
	}
	defer f.asking.Store(false)
	select {
	case <-f.quit:
		runtime.Goexit()
	default:
	}
	f.s.send(f.id, kindYield, wire.Encode(&wire.Yield{Requests: &wire.Requests{Requests: requests}}))
	select {
	case answers := <-f.answers:
		return answers
	case <-f.quit:
		runtime.Goexit()
	}
	return nil
}

// Now is the time of the event that the flow works on, and a microsecond more each time.
func (f *instance) Now() time.Time { return time.UnixMicro(f.clock.Add(1)).UTC() }

func (f *instance) Random(b []byte) { _, _ = f.random.Read(b) } // never fails

func (f *instance) Log(line string) { f.s.send(f.id, kindLog, []byte(line)) }
