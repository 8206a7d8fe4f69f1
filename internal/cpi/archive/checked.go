package archive

import (
	"bufio"
	"errors"
	"hash/crc32"
	"io"
)

// checked reads an entry and checks its size and checksum.
type checked struct {
	e          *Entry
	from       io.Reader
	compressed *bufio.Reader // below from; nil when stored
	left       int64
	crc        uint32
	err        error
}

// Read stops at the declared size: what would inflate to more is found out and not inflated.
func (c *checked) Read(b []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if c.left == 0 {
		c.err = c.end()
		return 0, c.err
	}
	n, err := c.from.Read(b[:min(int64(len(b)), c.left)])
	c.left -= int64(n)
	c.crc = crc32.Update(c.crc, crc32.IEEETable, b[:n])
	switch {
	case err == nil:
	case !errors.Is(err, io.EOF):
		c.err = c.e.damaged(err)
	case c.left > 0:
		c.err = fault(Corrupt, c.e.Name, "it is %d bytes shorter than declared", c.left)
	}
	if c.err != nil && n > 0 {
		return n, nil
	}
	return n, c.err
}

// end checks that there is nothing more.
func (c *checked) end() error {
	if n, err := c.from.Read(make([]byte, 1)); n != 0 {
		return fault(Corrupt, c.e.Name, "it is longer than the %d bytes that are declared", c.e.Size)
	} else if err != nil && !errors.Is(err, io.EOF) {
		return c.e.damaged(err)
	}
	if c.compressed != nil {
		if _, err := c.compressed.ReadByte(); !errors.Is(err, io.EOF) {
			return fault(Corrupt, c.e.Name, "there is something behind its compressed data")
		}
	}
	if c.crc != c.e.crc {
		return fault(Corrupt, c.e.Name, "its checksum is wrong")
	}
	return io.EOF
}
