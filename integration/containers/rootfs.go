package containers

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// rootfs collects the files of an image.
type rootfs struct {
	// files maps a path in the image to a path on this machine, or to content.
	files map[string]source
}

type source struct {
	path    string
	content []byte
	mode    fs.FileMode
}

func newRootfs() *rootfs {
	r := &rootfs{files: map[string]source{}}
	r.text("etc/passwd", "root:x:0:0::/:/bin/sh\nserver:x:65532:65532::/data:/bin/sh\n", 0o644)
	r.text("etc/group", "root:x:0:\nserver:x:65532:\n", 0o644)
	return r
}

func (r *rootfs) text(at, content string, mode fs.FileMode) {
	r.files[at] = source{content: []byte(content), mode: mode}
}

// binary adds a program, under the path that it has here, and every library that it links.
func (r *rootfs) binary(name string) error {
	file, err := filepath.EvalSymlinks(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	r.add(strings.TrimPrefix(name, "/"), file)
	return r.libraries(file)
}

// libraryLine is a library in the output of ldd: with or without its name before the arrow.
var libraryLine = regexp.MustCompile(`(?m)(?:=> )?(/\S+) \(0x[0-9a-f]+\)$`) //nolint:gochecknoglobals // a constant

func (r *rootfs) libraries(file string) error {
	out, err := exec.Command("ldd", file).CombinedOutput()
	if err != nil {
		if bytes.Contains(out, []byte("not a dynamic executable")) || bytes.Contains(out, []byte("statically linked")) {
			return nil
		}
		return fmt.Errorf("list the libraries of %s: %w: %s", file, err, out)
	}
	for _, m := range libraryLine.FindAllSubmatch(out, -1) {
		name := string(m[1])
		real, err := filepath.EvalSymlinks(name)
		if err != nil {
			return fmt.Errorf("find the library %s: %w", name, err)
		}
		r.add(strings.TrimPrefix(name, "/"), real)
	}
	return nil
}

func (r *rootfs) add(at, file string) { r.files[path.Clean(at)] = source{path: file} }

// tree adds a directory with all that is below it, links followed, but for what skip names. What can be run or linked
// brings its libraries.
func (r *rootfs) tree(dir, at string, skip ...string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read %s: %w", dir, err)
	}
	for _, e := range entries {
		from, to := filepath.Join(dir, e.Name()), path.Join(at, e.Name())
		if slices.Contains(skip, e.Name()) {
			continue
		}
		info, err := os.Stat(from)
		if err != nil {
			continue // a link that leads nowhere here would lead nowhere there
		}
		if info.IsDir() {
			if err := r.tree(from, to, skip...); err != nil {
				return err
			}
			continue
		}
		if !info.Mode().IsRegular() {
			continue
		}
		r.add(to, from)
		if isELF(from) {
			if err := r.libraries(from); err != nil {
				return err
			}
		}
	}
	return nil
}

func isELF(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // only read
	var magic [4]byte
	_, err = io.ReadFull(f, magic[:])
	return err == nil && string(magic[:]) == "\x7fELF"
}

// writeTo writes the image's only layer, in the order of paths, with the directories that are needed.
func (r *rootfs) writeTo(w io.Writer) error {
	out := tar.NewWriter(w)
	made := map[string]bool{".": true}
	var makeDir func(dir string) error
	makeDir = func(dir string) error {
		if made[dir] {
			return nil
		}
		made[dir] = true
		if err := makeDir(path.Dir(dir)); err != nil {
			return err
		}
		return out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755})
	}
	for _, dir := range []string{"tmp", "data"} { // for everybody
		made[dir] = true
		if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o1777}); err != nil {
			return fmt.Errorf("write the image: %w", err)
		}
	}
	names := make([]string, 0, len(r.files))
	for name := range r.files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := makeDir(path.Dir(name)); err != nil {
			return fmt.Errorf("write the image: %w", err)
		}
		if err := r.files[name].writeTo(out, name); err != nil {
			return fmt.Errorf("write %s into the image: %w", name, err)
		}
	}
	return out.Close()
}

func (s source) writeTo(out *tar.Writer, name string) error {
	if s.path == "" {
		if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: int64(s.mode.Perm()), Size: int64(len(s.content))}); err != nil {
			return err
		}
		_, err := out.Write(s.content)
		return err
	}
	f, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: int64(info.Mode().Perm() | 0o444), Size: info.Size()}); err != nil {
		return err
	}
	_, err = io.Copy(out, io.LimitReader(f, info.Size()))
	return err
}
