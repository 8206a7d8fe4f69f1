package archive

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"strings"
	"testing"
)

// item is an entry of a zip file made by hand; what is set overrides what would be right.
type item struct {
	name, local string // local: the name in the local header
	content     string
	packed      []byte
	method      uint16
	size        uint32
	crc         uint32
	flags       uint16
	attributes  uint32
	extra       string
	comment     string
	shift       int // of the offset in the directory
	localSize   uint32
}

// zipped lays out a zip file by hand: what this package's writer would, but for what the items override, and with bytes
// put before, between and behind.
func zipped(before, between, behind string, items ...item) []byte {
	var b, directory bytes.Buffer
	b.WriteString(before)
	le := binary.LittleEndian
	for _, it := range items {
		packed := it.packed
		if packed == nil {
			packed = []byte(it.content)
		}
		size, crc, attrs, flagged := uint32(len(it.content)), crc32.ChecksumIEEE([]byte(it.content)), uint32(attributes), uint16(flags)
		if it.size != 0 {
			size = it.size
		}
		if it.crc != 0 {
			crc = it.crc
		}
		if it.attributes != 0 {
			attrs = it.attributes
		}
		if it.flags != 0 {
			flagged = it.flags
		}
		at, local, localSize := b.Len(), it.name, size
		if it.local != "" {
			local = it.local
		}
		if it.localSize != 0 {
			localSize = it.localSize
		}
		h := le.AppendUint32(nil, locMark)
		for _, v := range []uint16{needed, flagged, it.method, 0, date} {
			h = le.AppendUint16(h, v)
		}
		h = le.AppendUint32(le.AppendUint32(le.AppendUint32(h, crc), uint32(len(packed))), localSize)
		h = le.AppendUint16(le.AppendUint16(h, uint16(len(local))), 0)
		b.Write(h)
		b.WriteString(local)
		b.Write(packed)
		d := le.AppendUint32(nil, headMark)
		for _, v := range []uint16{creator, needed, flagged, it.method, 0, date} {
			d = le.AppendUint16(d, v)
		}
		d = le.AppendUint32(le.AppendUint32(le.AppendUint32(d, crc), uint32(len(packed))), size)
		for _, v := range []uint16{uint16(len(it.name)), uint16(len(it.extra)), uint16(len(it.comment)), 0, 0} {
			d = le.AppendUint16(d, v)
		}
		d = le.AppendUint32(le.AppendUint32(d, attrs), uint32(at+it.shift))
		directory.Write(d)
		directory.WriteString(it.name + it.extra + it.comment)
	}
	b.WriteString(between)
	start := b.Len()
	b.Write(directory.Bytes())
	end := le.AppendUint32(nil, endMark)
	for _, v := range []uint16{0, 0, uint16(len(items)), uint16(len(items))} {
		end = le.AppendUint16(end, v)
	}
	end = le.AppendUint32(le.AppendUint32(end, uint32(directory.Len())), uint32(start))
	b.Write(le.AppendUint16(end, 0))
	b.WriteString(behind)
	return b.Bytes()
}

func deflated(s string) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.Bytes()
}

func readAll(b []byte, l Limits) error {
	r, err := Open(bytes.NewReader(b), int64(len(b)), l)
	if err != nil {
		return err
	}
	for _, e := range r.Entries {
		if _, err := e.ReadAll(1 << 20); err != nil {
			return err
		}
		if n, err := io.Copy(io.Discard, e.Open()); err != nil || n != e.Size {
			return errors.Join(err, errors.New("read twice"))
		}
	}
	return nil
}

// What the writer makes is what the tests make by hand, the reader takes it, and so does another zip reader.
func TestWriterAndReader(t *testing.T) {
	text := strings.Repeat("a long text, ", 1000)
	var b bytes.Buffer
	w := NewWriter(&b)
	for _, it := range []struct {
		name, content string
		stored        bool
	}{{"a/one.txt", text, false}, {"two", "x", true}, {"empty", "", true}, {"nothing", "", false}} {
		if err := w.Add(it.name, io.NewSectionReader(strings.NewReader(it.content), 0, int64(len(it.content))), it.stored); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Add("TWO", io.NewSectionReader(strings.NewReader(""), 0, 0), true); !isFault(err, Duplicate) {
		t.Errorf("TWO: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	hand := zipped("", "", "", item{name: "a/one.txt", content: text, method: zip.Deflate, packed: deflated(text)}, item{name: "two", content: "x"}, item{name: "empty"},
		item{name: "nothing", method: zip.Deflate, packed: deflated("")})
	if !bytes.Equal(b.Bytes(), hand) {
		t.Error("the writer made other bytes than the tests")
	}
	if err := readAll(b.Bytes(), Limits{}); err != nil {
		t.Error(err)
	}
	other, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil || len(other.File) != 4 {
		t.Fatal(other, err)
	}
	f, err := other.File[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(f); err != nil || string(got) != text {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	// A copy of each entry makes the same file.
	r, err := Open(bytes.NewReader(b.Bytes()), int64(b.Len()), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	w = NewWriter(&again)
	for _, e := range r.Entries {
		if err := w.Copy(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil || !bytes.Equal(again.Bytes(), b.Bytes()) {
		t.Errorf("the copy is another file, %v", err)
	}
}

func isFault(err error, f Fault) bool {
	var e *Error
	return errors.As(err, &e) && e.Fault == f
}

// attacks are files that each do one thing that is not allowed.
func attacks() []struct {
	what   string
	file   []byte
	limits Limits
	fault  Fault
	say    string
} {
	ok := item{name: "a", content: "x"}
	bomb := strings.Repeat("\x00", 2<<20)
	whole := zipped("", "", "", ok, item{name: "b", content: "yy"})
	patch := func(at int, v byte) []byte {
		b := bytes.Clone(whole)
		if at < 0 {
			at += len(b)
		}
		b[at] = v
		return b
	}
	named := func(n string) []byte { return zipped("", "", "", item{name: n, content: "x"}) }
	type attack = struct {
		what   string
		file   []byte
		limits Limits
		fault  Fault
		say    string
	}
	return []attack{
		{"nothing", nil, Limits{}, NotZip, "0 bytes"},
		{"text", []byte(strings.Repeat("hello ", 10)), Limits{}, NotZip, "does not end as a package"},
		{"cut off", whole[:len(whole)-1], Limits{}, NotZip, "cut off"},
		{"trailing data", zipped("", "", "MORE", ok), Limits{}, NotZip, "something was put behind"},
		{"trailing data in a comment", append(patch(-2, 4), "MORE"...), Limits{}, NotZip, "put behind"},
		{"a comment of no bytes that says it has some", patch(-2, 4), Limits{}, Layout, "comment"},
		{"data before", zipped("#!/bin/sh\n", "", "", ok), Limits{}, Layout, "does not begin where"},
		{"data before, offsets shifted", zipped("#!/bin/sh\n", "", "", item{name: "a", content: "x", shift: -10}), Limits{}, Layout, "header"},
		{"data between", zipped("", "GAP", "", ok), Limits{}, Layout, "belong to no entry"},
		{"several disks", patch(-18, 1), Limits{}, Layout, "several files"},
		{"Zip64", patch2(whole, -14, 0xff, 4), Limits{}, Layout, "Zip64"},
		{"a damaged directory", patch(len(whole)-22-47, 0), Limits{}, NotZip, "damaged"},
		{"overlapping entries", zipped("", "", "", ok, item{name: "b", content: "x", shift: -32}), Limits{}, Layout, "overlap"},
		{"an entry that contains the next (quine)", zipped("", "", "", item{name: "a", content: "x", shift: 32}, item{name: "b", content: "x"}), Limits{}, Layout, "overlap"},
		{"data into the directory", patchSize(whole), Limits{}, Layout, "directory"},
		{"local name differs", zipped("", "", "", item{name: "a", local: "b", content: "x"}), Limits{}, Layout, "something else than the directory"},
		{"local size differs", zipped("", "", "", item{name: "a", content: "x", localSize: 7}), Limits{}, Layout, "something else than the directory"},
		{"extra fields", zipped("", "", "", item{name: "a", content: "x", extra: "\x01\x00\x00\x00"}), Limits{}, Layout, "extra fields"},
		{"entry comment", zipped("", "", "", item{name: "a", content: "x", comment: "hi"}), Limits{}, Layout, "comment"},
		{"encrypted", zipped("", "", "", item{name: "a", content: "x", flags: flags | 1}), Limits{}, Layout, "encrypted"},
		{"data descriptor", zipped("", "", "", item{name: "a", content: "x", flags: flags | 8}), Limits{}, Layout, "flags"},
		{"another code page", zipped("", "", "", item{name: "a", content: "x", flags: 2}), Limits{}, Layout, "flags"},
		{"symbolic link", zipped("", "", "", item{name: "a", content: "/etc/passwd", attributes: 0o120777 << 16}), Limits{}, Layout, "not a regular file"},
		{"set-user-id", zipped("", "", "", item{name: "a", content: "x", attributes: 0o104755 << 16}), Limits{}, Layout, "not a regular file"},
		{"folder", named("a/"), Limits{}, BadName, "folders have no entries"},
		{"method bzip2", zipped("", "", "", item{name: "a", content: "x", method: 12}), Limits{}, Layout, "method 12"},
		{"absolute", named("/etc/passwd"), Limits{}, BadName, "absolute"},
		{"dot dot", named("a/../../b"), Limits{}, BadName, "another folder"},
		{"dot", named("./b"), Limits{}, BadName, "another folder"},
		{"backslash", named(`..\b`), Limits{}, BadName, "backslash"},
		{"drive", named("C:/b"), Limits{}, BadName, "colon"},
		{"empty part", named("a//b"), Limits{}, BadName, "empty part"},
		{"no name", named(""), Limits{}, BadName, "no name"},
		{"null", named("a\x00.txt"), Limits{}, BadName, `'\x00'`},
		{"not UTF-8", named("a\xff"), Limits{}, BadName, "not UTF-8"},
		{"look-alike", named("modules/p\u0430y.wasm"), Limits{}, BadName, "use letters and digits"},
		{"right to left", named("a\u202etxt.exe"), Limits{}, BadName, "use letters and digits"},
		{"trailing dot", named("a."), Limits{}, BadName, "ends with a dot"},
		{"long name", zipped("", "", "", ok, item{name: strings.Repeat("a", 201)}), Limits{}, BadName, "at most 200"},
		{"deep name", named("a/b/c/d/e/f/g"), Limits{}, BadName, "7 parts"},
		{"twice", zipped("", "", "", ok, ok), Limits{}, Duplicate, "would be one file"},
		{"case collision", zipped("", "", "", ok, item{name: "A", content: "x"}), Limits{}, Duplicate, "would be one file"},
		{"bomb by ratio", zipped("", "", "", item{name: "a", content: bomb, method: zip.Deflate, packed: deflated(bomb)}), Limits{}, TooLarge, "times as many"},
		{"bomb by declared size", zipped("", "", "", item{name: "a", content: "x", method: zip.Deflate, packed: deflated("x"), size: 1 << 31}), Limits{}, TooLarge, "at most"},
		{"bomb by lie", zipped("", "", "", item{name: "a", content: bomb, method: zip.Deflate, packed: deflated(bomb), size: 10}), Limits{}, Corrupt, "longer than the 10 bytes"},
		{"bomb by number", zipped("", "", "", ok, item{name: "b"}, item{name: "c"}), Limits{Entries: 2}, TooLarge, "3 entries"},
		{"bomb by sum", zipped("", "", "", item{name: "a", content: "12345"}, item{name: "b", content: "12345"}), Limits{Total: 9}, TooLarge, "together"},
		{"large file", whole, Limits{File: 10}, TooLarge, "at most 10"},
		{"shorter than declared", zipped("", "", "", item{name: "a", content: "x", method: zip.Deflate, packed: deflated("x"), size: 5}), Limits{}, Corrupt, "shorter"},
		{"two sizes when stored", zipped("", "", "", item{name: "a", content: "x", size: 5}), Limits{}, Corrupt, "two sizes"},
		{"wrong checksum", zipped("", "", "", item{name: "a", content: "x", crc: 1}), Limits{}, Corrupt, "checksum"},
		{"damaged data", zipped("", "", "", item{name: "a", content: "xxx", method: zip.Deflate, packed: []byte{7, 7, 7}}), Limits{}, Corrupt, "damaged"},
		{"cut data", zipped("", "", "", item{name: "a", content: "hello hello hello", method: zip.Deflate, packed: deflated("hello hello hello")[:6]}), Limits{}, Corrupt, "damaged"},
		{"data behind the compressed data", zipped("", "", "", item{name: "a", content: "x", method: zip.Deflate, packed: append(deflated("x"), "hidden"...)}), Limits{}, Corrupt, "behind its compressed data"},
		{"directory with room", directoryWithRoom(), Limits{}, Layout, "behind its last entry"},
		{"huge directory", patch2(whole, -10, 0xf0, 2), Limits{}, Layout, "more than 2 entries need"},
	}
}

// patch2 sets n bytes at an offset from the end.
func patch2(b []byte, at int, v byte, n int) []byte {
	b = bytes.Clone(b)
	for i := range n {
		b[len(b)+at+i] = v
	}
	return b
}

// patchSize makes the second entry longer than the file, in both headers.
func patchSize(b []byte) []byte {
	b = bytes.Clone(b)
	second := bytes.LastIndex(b, binary.LittleEndian.AppendUint32(nil, locMark))
	head := bytes.LastIndex(b, binary.LittleEndian.AppendUint32(nil, headMark))
	for _, at := range []int{second + 18, second + 22, head + 20, head + 24} {
		binary.LittleEndian.PutUint32(b[at:], 1000)
	}
	return b
}

// directoryWithRoom hides bytes at the end of the directory.
func directoryWithRoom() []byte {
	b := zipped("", "", "", item{name: "a", content: "x"})
	end := bytes.Clone(b[len(b)-22:])
	binary.LittleEndian.PutUint32(end[12:], binary.LittleEndian.Uint32(end[12:])+4)
	return append(append(b[:len(b)-22:len(b)-22], "ROOM"...), end...)
}

func TestAttacks(t *testing.T) {
	for _, a := range attacks() {
		if err := readAll(a.file, a.limits); !isFault(err, a.fault) || !strings.Contains(err.Error(), a.say) {
			t.Errorf("%s: %v; want %s, %q", a.what, err, a.fault, a.say)
		}
	}
}

// broken fails to read.
type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, errors.New("disk on fire") }

func TestErrorsOfTheSource(t *testing.T) {
	var e *Error
	if _, err := Open(broken{}, 100, Limits{}); err == nil || errors.As(err, &e) || !strings.Contains(err.Error(), "disk on fire") {
		t.Error(err)
	}
}

// FuzzOpen: whatever the bytes, nothing panics, and what is taken is what the writer would write.
func FuzzOpen(f *testing.F) {
	for _, a := range attacks() {
		if len(a.file) < 10_000 {
			f.Add(a.file)
		}
	}
	f.Add(zipped("", "", "", item{name: "a", content: "x"}, item{name: "d/b", content: "xyxyxyxy", method: zip.Deflate, packed: deflated("xyxyxyxy")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		l := Limits{Total: 1 << 20, Entry: 1 << 20}
		r, err := Open(bytes.NewReader(b), int64(len(b)), l)
		if err != nil {
			return
		}
		var again bytes.Buffer
		w := NewWriter(&again)
		for _, e := range r.Entries {
			if n, err := io.Copy(io.Discard, e.Open()); n > e.Size || err == nil && n != e.Size {
				t.Fatalf("%s: %d bytes of %d, %v", e.Name, n, e.Size, err)
			}
			if err := w.Copy(e); err != nil {
				t.Fatal(err)
			}
		}
		if len(r.Entries) == 0 {
			return
		}
		if err := w.Close(); err != nil || !bytes.Equal(again.Bytes(), b) {
			t.Fatalf("a package has two readings: %v", err)
		}
	})
}
