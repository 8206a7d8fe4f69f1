package archive

import (
	"archive/zip"
	"bufio"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// What every header says.
const (
	creator    = 3<<8 | 20      // made on Unix, by version 2.0
	needed     = 20             // version 2.0 is needed: deflate
	date       = 1<<5 | 1       // 1980-01-01, the first day that zip knows
	attributes = 0o100644 << 16 // a regular file
	endLength  = 22             // bytes of the end of the directory without a comment
	headLength = 46             // bytes of an entry of the directory without its name
	locLength  = 30             // bytes of a local header without its name
	endMark    = uint32(0x06054b50)
	headMark   = uint32(0x02014b50)
	locMark    = uint32(0x04034b50)
)

// Reader is an opened file. Its entries may be read by many goroutines at once when the source can.
type Reader struct {
	// Entries are in the order of the file.
	Entries []*Entry
	names   map[string]*Entry
}

// Entry is a file in a zip file.
type Entry struct {
	Name string
	// Size is what it has inflated, as declared and not more than [Limits.Entry]; reading it checks that it is so.
	Size int64

	src    io.ReaderAt
	method uint16
	crc    uint32
	at     int64 // of its data
	packed int64
}

// Find returns an entry by name, nil when there is none.
func (r *Reader) Find(name string) *Entry { return r.names[name] }

// Open reads the directory of a file of size bytes and checks the whole layout.
func Open(src io.ReaderAt, size int64, limits Limits) (*Reader, error) {
	l := limits.WithDefaults()
	if size > l.File {
		return nil, fault(TooLarge, "", "the file has %d bytes, at most %d are allowed", size, l.File)
	}
	if size < endLength {
		return nil, fault(NotZip, "", "the file has %d bytes and is no zip file", size)
	}
	end := make([]byte, endLength)
	if err := readAt(src, end, size-endLength); err != nil {
		return nil, fmt.Errorf("read the end of the directory: %w", err)
	}
	u16, u32 := binary.LittleEndian.Uint16, binary.LittleEndian.Uint32
	if u32(end) != endMark {
		return nil, fault(NotZip, "", "the file does not end as a package does: it is no zip file, was cut off, or something was put behind it")
	}
	count, length, start := int(u16(end[10:])), int64(u32(end[12:])), int64(u32(end[16:]))
	switch {
	case u16(end[4:]) != 0 || u16(end[6:]) != 0 || u16(end[8:]) != u16(end[10:]):
		return nil, fault(Layout, "", "the file is a part of a zip archive of several files")
	case u16(end[20:]) != 0:
		return nil, fault(Layout, "", "the file has a comment")
	case count == 0xffff || length == 0xffffffff || start == 0xffffffff:
		return nil, fault(Layout, "", "the file is of format Zip64")
	case count > l.Entries:
		return nil, fault(TooLarge, "", "the file has %d entries, at most %d are allowed", count, l.Entries)
	case length > int64(count)*(headLength+MaxName):
		return nil, fault(Layout, "", "the directory has %d bytes, which is more than %d entries need", length, count)
	case start+length != size-endLength:
		return nil, fault(Layout, "", "the directory does not lie directly before the end: there is something before, between or behind")
	}
	directory := make([]byte, length)
	if err := readAt(src, directory, start); err != nil {
		return nil, fmt.Errorf("read the directory: %w", err)
	}
	r := &Reader{names: make(map[string]*Entry, count)}
	folded := make(map[string]string, count)
	at, total := int64(0), int64(0)
	for range count {
		e, rest, err := entry(directory, at, l)
		if err != nil {
			return nil, err
		}
		if other, ok := folded[fold(e.Name)]; ok {
			return nil, fault(Duplicate, e.Name, "the file has %s, too: both would be one file", other)
		}
		if total += e.Size; total > l.Total {
			return nil, fault(TooLarge, e.Name, "with it the entries have more than %d bytes together", l.Total)
		}
		e.src, e.at = src, at+locLength+int64(len(e.Name))
		if e.at+e.packed > start {
			return nil, fault(Layout, e.Name, "its data reaches into the directory")
		}
		if err := e.checkLocal(directory[:headLength], at); err != nil {
			return nil, err
		}
		at, directory = e.at+e.packed, rest
		folded[fold(e.Name)], r.names[e.Name] = e.Name, e
		r.Entries = append(r.Entries, e)
	}
	if len(directory) != 0 {
		return nil, fault(Layout, "", "the directory has %d bytes behind its last entry", len(directory))
	}
	if at != start {
		return nil, fault(Layout, "", "between the last entry and the directory are %d bytes that belong to no entry", start-at)
	}
	return r, nil
}

// entry reads the first entry of the rest of a directory, whose local header must be at an offset.
func entry(directory []byte, at int64, l Limits) (e *Entry, rest []byte, err error) {
	u16, u32 := binary.LittleEndian.Uint16, binary.LittleEndian.Uint32
	if len(directory) < headLength || u32(directory) != headMark {
		return nil, nil, fault(NotZip, "", "the directory is damaged")
	}
	d := directory
	n := int(u16(d[28:]))
	if len(d) < headLength+n {
		return nil, nil, fault(NotZip, "", "the directory is damaged")
	}
	name := string(d[headLength : headLength+n])
	if err := CheckName(name); err != nil {
		return nil, nil, err
	}
	e = &Entry{Name: name, method: u16(d[10:]), crc: u32(d[16:]), packed: int64(u32(d[20:])), Size: int64(u32(d[24:]))}
	switch {
	case u16(d[8:])&1 != 0:
		err = fault(Layout, name, "it is encrypted")
	case u16(d[4:]) != creator || u16(d[6:]) != needed || u16(d[8:]) != flags || u16(d[12:]) != 0 || u16(d[14:]) != date || u16(d[34:]) != 0 || u16(d[36:]) != 0:
		err = fault(Layout, name, "its time, flags or versions are not those that packages have")
	case u32(d[38:]) != attributes:
		err = fault(Layout, name, "it is not a regular file (a link, a folder or an executable)")
	case u16(d[30:]) != 0 || u16(d[32:]) != 0:
		err = fault(Layout, name, "it has extra fields or a comment")
	case e.method != zip.Store && e.method != zip.Deflate:
		err = fault(Layout, name, "it is compressed by method %d; packages have 0 (stored) and 8 (deflate)", e.method)
	case int64(u32(d[42:])) != at:
		err = fault(Layout, name, "it does not begin where the entry before it ends: entries overlap or leave a gap")
	case e.Size > l.Entry:
		err = fault(TooLarge, name, "it has %d bytes, at most %d are allowed", e.Size, l.Entry)
	case e.method == zip.Store && e.packed != e.Size:
		err = fault(Corrupt, name, "it is stored and has two sizes, %d and %d", e.packed, e.Size)
	case e.Size > RatioFloor && e.Size/l.Ratio > e.packed:
		err = fault(TooLarge, name, "%d bytes inflate to %d, more than %d times as many", e.packed, e.Size, l.Ratio)
	}
	if err != nil {
		return nil, nil, err
	}
	return e, d[headLength+n:], nil
}

// checkLocal compares the entry's local header with its entry in the directory.
func (e *Entry) checkLocal(head []byte, at int64) error {
	local := make([]byte, locLength+len(e.Name))
	if err := readAt(e.src, local, at); err != nil {
		return fmt.Errorf("read the header of %s: %w", e.Name, err)
	}
	if binary.LittleEndian.Uint32(local) != locMark {
		return fault(Layout, e.Name, "its data does not begin with its header")
	}
	// From the version that is needed to the length of the name both say the same.
	if string(local[4:28]) != string(head[6:30]) || local[28] != 0 || local[29] != 0 || string(local[locLength:]) != e.Name {
		return fault(Layout, e.Name, "its header says something else than the directory")
	}
	return nil
}

func readAt(src io.ReaderAt, b []byte, at int64) error {
	n, err := src.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (e *Entry) raw() *io.SectionReader { return io.NewSectionReader(e.src, e.at, e.packed) }

// Stored returns the content in place, when the entry is not compressed.
func (e *Entry) Stored() (*io.SectionReader, bool) { return e.raw(), e.method == zip.Store }

// Open returns a reader of exactly Size bytes. It fails, at its end at the latest, when the data has another size or
// another checksum.
func (e *Entry) Open() io.Reader {
	c := &checked{e: e, left: e.Size}
	if e.method == zip.Store {
		c.from = e.raw()
		return c
	}
	c.compressed = bufio.NewReader(e.raw())
	c.from = flate.NewReader(c.compressed)
	return c
}

// ReadAll returns the content of an entry of at most limit bytes.
func (e *Entry) ReadAll(limit int64) ([]byte, error) {
	if e.Size > limit {
		return nil, fault(TooLarge, e.Name, "it has %d bytes, at most %d are allowed", e.Size, limit)
	}
	b := make([]byte, e.Size)
	from := e.Open()
	if _, err := io.ReadFull(from, b); err != nil {
		return nil, e.damaged(err)
	}
	if n, err := from.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		return nil, e.damaged(err)
	}
	return b, nil
}

// damaged makes a refusal of an error that is none.
func (e *Entry) damaged(err error) error {
	var known *Error
	var broken flate.CorruptInputError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &broken), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fault(Corrupt, e.Name, "its compressed data is damaged: %v", err)
	}
	return fmt.Errorf("read %s: %w", e.Name, err)
}
