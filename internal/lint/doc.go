// Package lint is the house's rules as a Go test: which package may import what, what no test may do, which words no
// file may hold. `go test ./internal/lint` reads the whole repository; it needs no tool but Go.
//
// What never changes: a rule that is listed in [Rules] is proven to fail, on a tree of violations in testdata/broken,
// where each is marked; a problem names file, line, rule and what to do instead.
//
// Nothing calls it but its own test. Rules that need types are left to golangci-lint, which `make check` runs.
package lint
