package database

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
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
		return nil, invalid(ErrUpload, "the parts that came have SHA-256 %x together, and the sender says %x: upload the file again", sum, op.Work.SHA256)
	}
	trust := Trust{Any: w.cfg.AnySigner}
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
			return Result{Err: packageRefusal(ctx, fmt.Errorf("module %s: %w", m.Name, err))}
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
	for chunk, err := range p.Chunks {
		if err != nil {
			return Result{Err: packageRefusal(ctx, err)}
		}
		if err := clusterdb.PutChunk(ctx, w.deps.Cluster, ChunkKey(chunk.GetSha256(), chunk.GetPart()), chunk); err != nil {
			return Result{Err: err}
		}
	}
	return Result{Package: p.Cpi, Migrations: p.Migrations}
}
