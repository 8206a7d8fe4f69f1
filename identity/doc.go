// Package identity names who takes part: X.500 names in their one canonical form, holding identities (a name
// within an application network) with their short hash, and the ids that are derived from places and other ids.
//
// Always true: two spellings of one name have one canonical form, and parsing the canonical form gives it back
// unchanged; a short hash or a derived id depends on its arguments and on nothing else. The golden vectors in
// testdata fix these bytes for good: records on topics, rows in tables and other clusters carry them.
//
// It is domain code: no I/O, no clock, no randomness. Every worker, the CLI and the database layer call it.
package identity
