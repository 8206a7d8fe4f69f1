// Command wireecho decodes and encodes messages with package wire, so that a test that has the real Protobuf
// library, which this module does not, can compare them. It reads frames from standard input and answers each with
// one on standard output: a byte (in: which message; out: 0 when it was decoded), a big-endian uint32, and as many
// bytes (in: the message; out: its encoding, or why it was not decoded).
package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"github.com/fairleadio/fairlead/sdk/internal/wire"
)

func main() {
	if err := echo(bufio.NewReader(os.Stdin), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "wireecho:", err)
		os.Exit(1)
	}
}

func echo(r io.Reader, w io.Writer) error {
	for {
		var head [5]byte
		if _, err := io.ReadFull(r, head[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		b := make([]byte, binary.BigEndian.Uint32(head[1:]))
		if _, err := io.ReadFull(r, b); err != nil {
			return err
		}
		out, err := again(head[0], b)
		head[0] = 0
		if err != nil {
			head[0], out = 1, []byte(err.Error())
		}
		binary.BigEndian.PutUint32(head[1:], uint32(len(out)))
		if _, err := w.Write(append(head[:], out...)); err != nil {
			return err
		}
	}
}

func again(message byte, b []byte) ([]byte, error) {
	switch message {
	case 'S':
		var m wire.Start
		err := m.Decode(b)
		return m.Append(nil), err
	case 'Y':
		var m wire.Yield
		err := m.Decode(b)
		return m.Append(nil), err
	case 'R':
		var m wire.Resume
		err := m.Decode(b)
		return m.Append(nil), err
	}
	return nil, fmt.Errorf("there is no message %q", message)
}
