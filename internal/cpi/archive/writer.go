package archive

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Writer writes a zip file of which the same entries, in the same order, make the same bytes.
type Writer struct {
	zip   *zip.Writer
	names map[string]bool
}

// NewWriter writes to w.
func NewWriter(w io.Writer) *Writer {
	return &Writer{zip: zip.NewWriter(w), names: map[string]bool{}}
}

// flags says that names are UTF-8.
const flags = 0x800

// Add adds an entry. A stored one can be read in place; others are deflated.
func (w *Writer) Add(name string, content *io.SectionReader, stored bool) error {
	size, crc := content.Size(), crc32.NewIEEE()
	from := io.TeeReader(io.NewSectionReader(content, 0, size), crc)
	if stored {
		// The header comes first and has the checksum: stored content is read twice and not kept.
		if _, err := io.Copy(io.Discard, from); err != nil {
			return fmt.Errorf("add %s: %w", name, err)
		}
		return w.add(name, zip.Store, crc.Sum32(), size, size, io.NewSectionReader(content, 0, size))
	}
	var packed bytes.Buffer
	f, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		return fmt.Errorf("add %s: %w", name, err)
	}
	if _, err = io.Copy(f, from); err == nil {
		err = f.Close()
	}
	if err != nil {
		return fmt.Errorf("add %s: %w", name, err)
	}
	return w.add(name, zip.Deflate, crc.Sum32(), size, int64(packed.Len()), &packed)
}

// Copy adds an entry of another file as it is, compressed or not.
func (w *Writer) Copy(e *Entry) error {
	return w.add(e.Name, e.method, e.crc, e.Size, e.packed, e.raw())
}

func (w *Writer) add(name string, method uint16, crc uint32, size, packed int64, content io.Reader) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if w.names[fold(name)] {
		return fault(Duplicate, name, "the name is there already")
	}
	w.names[fold(name)] = true
	const most = 1<<32 - 2
	if size > most || packed > most {
		return fault(TooLarge, name, "it has %d bytes, at most %d fit", size, int64(most))
	}
	header := &zip.FileHeader{
		Name: name, Method: method, Flags: flags, CRC32: crc, CreatorVersion: creator, ReaderVersion: needed,
		CompressedSize64: uint64(packed), UncompressedSize64: uint64(size), ExternalAttrs: attributes,
	}
	header.ModifiedDate = date //nolint:staticcheck // Modified would add an extra field; CreateRaw takes the date as it is.
	out, err := w.zip.CreateRaw(header)
	if err == nil {
		_, err = io.Copy(out, content)
	}
	if err != nil {
		return fmt.Errorf("add %s: %w", name, err)
	}
	return nil
}

// Close writes the directory. It does not close what is below.
func (w *Writer) Close() error {
	if len(w.names) == 0 {
		return errors.New("a package without entries")
	}
	if err := w.zip.Close(); err != nil {
		return fmt.Errorf("write the directory: %w", err)
	}
	return nil
}
