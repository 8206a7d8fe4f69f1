package database

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/vaultdb"
)

// open puts the parts of an upload together, checks them and opens the package.
func (w *Worker) open(ctx context.Context, op *clusterdb.Operation) (*Package, error) {
	file, err := clusterdb.UploadedFile(ctx, w.deps.Cluster, op.Status.GetRequestId())
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(file); !bytes.Equal(sum[:], op.Work.SHA256) {
		if named := op.Work.Code; named != nil {
			return nil, refusePackage("the file that was given for package %s %s has SHA-256 %X, and must have %X", named.Name, named.Version, sum, op.Work.SHA256)
		}
		return nil, invalid(ErrUpload, "the parts that came have SHA-256 %x together, and the sender says %x: upload the file again", sum, op.Work.SHA256)
	}
	trust := Trust{}
	chains, err := clusterdb.CertificateChains(ctx, w.deps.Cluster, CodeSigner)
	if err != nil {
		return nil, err
	}
	for _, chain := range chains {
		certs, err := ParseChain(chain)
		if err != nil {
			return nil, fmt.Errorf("read an imported code signer's certificate: %w", err)
		}
		trust.Roots = append(trust.Roots, certs...)
	}
	if named := op.Work.Code; named != nil {
		return w.openCode(ctx, file, trust, named)
	}
	trust.Any = w.cfg.AnySigner
	p, err := w.deps.Packages.Open(ctx, file, trust)
	if err != nil {
		return nil, packageRefusal(ctx, err)
	}
	for _, m := range p.Migrations {
		for _, x := range m.List {
			if _, err := vaultdb.Split(x.SQL); err != nil {
				return nil, invalid(ErrStatement, "migration %s of %s: %v", x.Name, m.Cpk, err)
			}
		}
	}
	if _, err := routesOf(strings.Repeat("0", 12), p.Cpi, nil); err != nil {
		return nil, err
	}
	return p, nil
}

// openCode checks a package that another party gave. Here it must be signed by somebody whose certificate an operator has
// imported, also on a cluster that takes uploads of any signer.
func (w *Worker) openCode(ctx context.Context, file []byte, trust Trust, named *clusterdb.Named) (*Package, error) {
	p, err := w.deps.Packages.OpenCode(ctx, file, trust)
	if err != nil {
		return nil, ofPackage(packageRefusal(ctx, err))
	}
	is := p.Cpi
	switch {
	case is.GetName() != named.Name || is.GetVersion() != named.Version:
		return nil, refusePackage("the file that was given for package %s %s is package %s %s", named.Name, named.Version, is.GetName(), is.GetVersion())
	case is.GetSignerSummaryHash() != named.Signer:
		return nil, refusePackage("the file that was given for package %s %s is signed by %s, and must be by %s", named.Name, named.Version, is.GetSignerSummaryHash(), named.Signer)
	case len(p.Code) != 1:
		return nil, refusePackage("package %s %s has no contracts, and nothing is verified by it", named.Name, named.Version)
	}
	return p, nil
}

// packageRefusal gives what a package is refused for the form that callers get.
func packageRefusal(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	id := ErrModule
	if with := stable(err); with != "" {
		id = with
	}
	return invalid(id, "%v", err)
}

func (w *Worker) verify(ctx context.Context, op *clusterdb.Operation) Result {
	p, err := w.open(ctx, op)
	if err != nil {
		return Result{Err: err}
	}
	return Result{Package: p.Cpi}
}

// validate compiles every module.
func (w *Worker) validate(ctx context.Context, op *clusterdb.Operation) Result {
	p, err := w.open(ctx, op)
	if err != nil {
		return Result{Err: err}
	}
	for m, err := range p.Modules {
		if err == nil {
			err = w.deps.Packages.Validate(ctx, m)
		}
		if err != nil {
			err = packageRefusal(ctx, fmt.Errorf("module %s: %w", m.Name, err))
			if op.Work.Code != nil {
				err = ofPackage(err)
			}
			return Result{Err: err}
		}
	}
	return Result{}
}

// store keeps the modules' parts: nobody reads them before the package is there.
func (w *Worker) store(ctx context.Context, op *clusterdb.Operation) Result {
	p, err := w.open(ctx, op)
	if err != nil {
		return Result{Err: err}
	}
	only := map[string]bool{} // of what another party gave, no other modules are kept
	for _, c := range p.Code {
		for _, m := range c.Info.GetModules() {
			only[string(m.GetSha256())] = true
		}
	}
	for chunk, err := range p.Chunks {
		if err != nil {
			return Result{Err: packageRefusal(ctx, err)}
		}
		if op.Work.Code != nil && !only[string(chunk.GetSha256())] {
			continue
		}
		if err := clusterdb.PutChunk(ctx, w.deps.Cluster, ChunkKey(chunk.GetSha256(), chunk.GetPart()), chunk); err != nil {
			return Result{Err: err}
		}
	}
	out := Result{Package: p.Cpi, Migrations: p.Migrations}
	if op.Work.Code != nil {
		out.Package = nil // it becomes no package of the cluster's
	}
	for _, c := range p.Code {
		if err := w.storeCode(ctx, c); err != nil {
			return Result{Err: err}
		}
		out.Code = append(out.Code, c.Info)
	}
	return out
}

// storeCode keeps the file of a package of code, in parts: nobody reads them before the package is there.
func (w *Worker) storeCode(ctx context.Context, c CodeFile) error {
	key, part := clusterdb.CodeKey(c.Info.GetCpk().GetFileSha256()), make([]byte, CodePartBytes)
	for i := range partsOf(c.Info) {
		n, err := c.File.ReadAt(part, int64(i)*CodePartBytes)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the file of package %s: %w", c.Info.GetCpk().GetName(), err)
		}
		if err := clusterdb.PutCodePart(ctx, w.deps.Cluster, key, i, part[:n]); err != nil {
			return err
		}
	}
	return nil
}
