// Package cpi makes, signs, opens and checks application packages.
//
// There are three kinds, as in Corda. A CPK holds code: WebAssembly modules, migrations, and the declarations of tables,
// named queries and external channels. A CPB bundles CPKs. A CPI is a CPB with the policy of the group in which it runs;
// the CPI of a group's manager may be without code. Each is one zip file (package archive) with a manifest that names
// every file with its size and hash, and with detached PKCS#7 signatures over the manifest. A CPB has its CPKs, a CPI its
// CPB, stored as they are, each with its own manifest and signatures.
//
// [Open] is for files of strangers. What it returns was checked wholly: the layout of the zip file, bounds, names,
// signatures and whom they come from, every file against the manifest, declarations, policy; the same in each package
// within. It holds no content in memory; modules and migrations are read when asked for, and checked again. What it
// refuses, it refuses with an [*Error] that names the file, the reason, a remedy and a stable id.
//
// Always true: the same content, name and version make the same bytes before they are signed; a package has one reading;
// no byte of a package is outside of what its signatures cover, but for the signatures themselves.
//
// Modules are not run or compiled here: internal/sandbox does that, when they are built and when they are uploaded.
//
// The callers are the CLI (fairlead app), internal/appbuild and the database worker, when a package is uploaded.
package cpi
