package devenv

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/internal/appbuild"
	"github.com/fairleadio/fairlead/internal/cpi"
	"github.com/fairleadio/fairlead/internal/cpi/keystore"
	"github.com/fairleadio/fairlead/internal/sandbox"
)

// Application is what is installed on the virtual nodes.
type Application struct {
	// Name is the folder's.
	Name string
	// Module is the WebAssembly module as the author built it.
	Module []byte
	// Flows are the classes that clients may start.
	Flows []string
	// Answers are the protocols of its responders.
	Answers []string
	// Contracts are the names of its contracts.
	Contracts []string
	// Package is the CPI with the module in it, Checksum and Version are its; empty for a cluster that publishes its
	// own facts.
	Package           []byte
	Checksum, Version string
}

// sourceDigest names the sources of an application: every file below dir and below the SDK that it replaces, by
// path, size and time of change, and the release of Go. Folders whose names begin with a dot are left out.
func sourceDigest(dirs ...string) (string, error) {
	h := sha256.New()
	h.Write([]byte(runtime.Version()))
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if e.IsDir() && path != dir && strings.HasPrefix(e.Name(), ".") {
				return filepath.SkipDir
			}
			if !e.Type().IsRegular() {
				return nil
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			h.Write([]byte(path))
			var n [16]byte
			binary.BigEndian.PutUint64(n[:8], uint64(info.Size()))
			binary.BigEndian.PutUint64(n[8:], uint64(info.ModTime().UnixNano()))
			h.Write(n[:])
			return nil
		})
		if err != nil {
			return "", fmt.Errorf("reading the application in %s: %w", dir, err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// sources returns the folders that an application is made of: its own and those that its go.mod replaces modules by.
func sources(dir string) ([]string, error) {
	replaced, err := appbuild.Replaced(dir)
	if err != nil {
		return nil, fmt.Errorf("--app %s: %w", dir, err)
	}
	return append([]string{dir}, replaced...), nil
}

// buildCache remembers the last build of each folder, so that a start without changes builds nothing.
type buildCache struct {
	Digest    string   `json:"digest"`
	Module    string   `json:"module"`
	Flows     []string `json:"flows"`
	Answers   []string `json:"answers,omitempty"`
	Contracts []string `json:"contracts,omitempty"`
}

// builder builds applications into a cache.
type builder struct {
	cache   string
	sandbox *sandbox.Runtime
	// signer is the file of the key that packages are signed with; empty makes none.
	signer string
	// network is whose members the packages are for.
	network Network
}

// digest names the sources in these folders and what else a package is made of.
func (b builder) digest(from ...string) (string, error) {
	digest, err := sourceDigest(from...)
	if err != nil || b.signer == "" {
		return digest, err
	}
	policy, err := b.policy()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(append(policy, digest...))
	return hex.EncodeToString(sum[:]), nil
}

// policy is the group policy of the network.
func (b builder) policy() ([]byte, error) {
	var members []identity.Name
	for _, m := range b.network.Members {
		n, err := identity.ParseName(m.Name)
		if err != nil {
			return nil, fmt.Errorf("member %s: %w", m.Name, err)
		}
		members = append(members, n)
	}
	return cpi.StaticGroupPolicy(b.network.GroupID, members)
}

// build returns the application in a folder, and the digest of its sources.
func (b builder) build(ctx context.Context, folder string) (Application, string, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return Application{}, "", fmt.Errorf("--app %s: %w", folder, err)
	}
	from, err := sources(folder)
	if err != nil {
		return Application{}, "", err
	}
	digest, err := b.digest(from...)
	if err != nil {
		return Application{}, "", err
	}
	app := Application{Name: filepath.Base(folder)}
	sum := sha256.Sum256([]byte(folder))
	base := filepath.Join(b.cache, appDir, app.Name+"-"+hex.EncodeToString(sum[:4]))
	if module, c, ok := readBuild(base, digest); ok {
		app.Module, app.Flows, app.Answers, app.Contracts = module, c.Flows, c.Answers, c.Contracts
		if b.signer == "" {
			return app, digest, nil
		}
		if app.Package, err = os.ReadFile(base + ".cpi"); err == nil && app.name() {
			return app, digest, nil
		}
		app.Flows, app.Answers, app.Contracts = nil, nil, nil
	}
	built, err := b.source(ctx, folder, app.Name)
	if err != nil {
		return Application{}, digest, err
	}
	app.Module, app.Contracts = built.Modules[0].WASM, built.Modules[0].Contracts
	for _, f := range built.Modules[0].Flows {
		if f.GetStartable() {
			app.Flows = append(app.Flows, f.GetName())
		}
		if p := f.GetProtocol(); p != "" {
			app.Answers = append(app.Answers, p)
		}
	}
	if b.signer != "" {
		if app.Package, err = b.pack(built); err != nil {
			return Application{}, digest, err
		}
		if err := writeFile(base+".cpi", app.Package); err != nil {
			return Application{}, digest, err
		}
		app.name()
	}
	if err := writeFile(base+".wasm", app.Module); err != nil {
		return Application{}, digest, err
	}
	module := sha256.Sum256(app.Module)
	return app, digest, writeJSON(base+".json", buildCache{Digest: digest, Module: hex.EncodeToString(module[:]), Flows: app.Flows, Answers: app.Answers, Contracts: app.Contracts})
}

func (b builder) appbuild() appbuild.Builder { return appbuild.Builder{Runtime: b.sandbox} }

// source builds what is in a folder; without fairlead.yaml it is an application without tables and channels.
func (b builder) source(ctx context.Context, folder, name string) (*appbuild.Built, error) {
	builder := b.appbuild()
	if _, err := os.Stat(filepath.Join(folder, appbuild.SourceFile)); errors.Is(err, fs.ErrNotExist) {
		return builder.PackageOf(ctx, folder, &appbuild.Source{Name: appbuild.ModuleName(name), Version: "0.0.0"})
	}
	return builder.Package(ctx, folder)
}

// devPackage is the name of every package that a development cluster makes, so that one application can take the place
// of another on the same virtual nodes.
const devPackage = "dev"

// pack makes the CPI: the code, signed by the developer's key, with the policy of the cluster's group. Its version is
// made of the code and the policy, so that what changed is an upgrade.
func (b builder) pack(built *appbuild.Built) ([]byte, error) {
	key, err := keystore.Dev(b.signer, time.Now())
	if err != nil {
		return nil, err
	}
	policy, err := b.policy()
	if err != nil {
		return nil, err
	}
	var code, bundle, whole bytes.Buffer
	if err := cpi.WriteCPK(&code, built.Code, key); err != nil {
		return nil, fmt.Errorf("making the package of code: %w", err)
	}
	var unsigned bytes.Buffer // its bytes are the code's alone
	if err := cpi.WriteCPK(&unsigned, built.Code); err != nil {
		return nil, fmt.Errorf("making the package of code: %w", err)
	}
	sum := sha256.Sum256(append(unsigned.Bytes(), policy...))
	version := built.Version + "-" + hex.EncodeToString(sum[:6])
	part := func(b *bytes.Buffer) cpi.Part {
		return cpi.Part{Source: bytes.NewReader(b.Bytes()), Size: int64(b.Len())}
	}
	if err := cpi.WriteCPB(&bundle, devPackage, version, []cpi.Part{part(&code)}, key); err != nil {
		return nil, fmt.Errorf("making the bundle: %w", err)
	}
	within := part(&bundle)
	if err := cpi.WriteCPI(&whole, devPackage, version, policy, &within, key); err != nil {
		return nil, fmt.Errorf("making the installer: %w", err)
	}
	return whole.Bytes(), nil
}

// name reads the checksum and version of the package.
func (a *Application) name() bool {
	p, err := cpi.OpenBytes(a.Package, cpi.Options{Kind: cpi.CPI, Trust: cpi.Trust{AnySigner: true}})
	if err != nil {
		return false
	}
	a.Checksum, a.Version = p.Checksum(), p.Manifest.Version
	return true
}

func readBuild(base, digest string) (module []byte, c buildCache, ok bool) {
	b, err := os.ReadFile(base + ".json")
	if err != nil {
		return nil, c, false
	}
	if err := json.Unmarshal(b, &c); err != nil || c.Digest != digest {
		return nil, c, false
	}
	module, err = os.ReadFile(base + ".wasm")
	sum := sha256.Sum256(module)
	if err != nil || hex.EncodeToString(sum[:]) != c.Module {
		return nil, c, false
	}
	return module, c, true
}

// FindHello looks for the example application in the repository around a folder; empty when there is none.
func FindHello(from string) string { return FindApp(from, "hello") }

// FindApp looks for an application of the repository around a folder, by its name; empty when there is none.
func FindApp(from, name string) string {
	dir, err := filepath.Abs(from)
	if err != nil {
		return ""
	}
	for {
		candidate := filepath.Join(dir, "apps", name)
		if _, err := os.Stat(filepath.Join(candidate, "go.mod")); err == nil {
			return candidate
		} else if !errors.Is(err, fs.ErrNotExist) {
			return ""
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}
