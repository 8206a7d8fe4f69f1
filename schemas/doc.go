// Package schemas is what fairlead's records look like: the .proto files, the Go code generated from them, codecs for
// goka, and decoding of any record by the message name in its header fl-type.
//
// Always true: encoding is deterministic, so the same message is the same bytes; a field number, once given, keeps its
// meaning, which the compatibility check ([Incompatibilities]) proves against the last release's descriptors in
// baseline.binpb; the descriptors of every message are published on the topic fairlead.schemas ([PerType]), so that a
// tool reads records that are newer than itself ([NewDecoder]).
//
// Called by every group for its codecs, and by the CLI. It imports nothing of fairlead but the code generated from its
// own files.
package schemas

//go:generate buf lint
//go:generate buf generate
