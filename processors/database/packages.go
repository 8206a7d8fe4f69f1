package database

import (
	"context"
	"crypto/x509"
	"io"
	"iter"

	"github.com/fairleadio/fairlead/internal/clusterdb"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
)

// Trust says whose packages are taken.
type Trust struct {
	// Roots are the code signers' certificates that were imported.
	Roots []*x509.Certificate
	// Any takes every signer, and none: for development.
	Any bool
}

// Package is an opened package file. All of it was verified.
type Package struct {
	// Cpi is what is published, without row version and time.
	Cpi *cpiv1.Cpi
	// Chunks are the parts of its modules, in order.
	Chunks iter.Seq2[*cpiv1.Chunk, error]
	// Modules are the WebAssembly modules as they were built.
	Modules iter.Seq2[Module, error]
	// Code are its packages of code with contracts.
	Code []CodeFile
	// Migrations are those of its CPKs, in the order in which they run.
	Migrations []clusterdb.Migrations
}

// CodeFile is a package of code with contracts, and its file.
type CodeFile struct {
	Info *cpiv1.Code
	File *io.SectionReader
}

// Module is a module of a package.
type Module struct {
	// Name says which one it is, for people: with the package that it is in.
	Name string
	Kind cpiv1.ModuleKind
	Wasm []byte
}

// Packages opens package files and tries their modules. internal/app makes it of internal/cpi and internal/sandbox.
type Packages interface {
	// Open verifies a .cpi file. An error that has a method StableID names the refusal.
	Open(ctx context.Context, file []byte, trust Trust) (*Package, error)
	// OpenCode verifies a .cpk file by itself, as Open does. What it returns has no migrations.
	OpenCode(ctx context.Context, file []byte, trust Trust) (*Package, error)
	// Validate compiles a module, with metering, and refuses what the sandbox would not run.
	Validate(ctx context.Context, m Module) error
}
