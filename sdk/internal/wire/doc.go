// Package wire is the encoding of the guest interface: the messages of fairlead.app.v1 that a module and its host
// exchange, in canonical Protobuf.
//
// It exists because the SDK depends on nothing: a guest of the real Protobuf library would be three times the size.
// Canonical means that a message has exactly one encoding: fields ascending, shortest varints, defaults left out.
// Decoding accepts what any Protobuf encoder writes, skips fields that it does not know, and the last of a repeated
// single field wins; so an older SDK understands a newer host.
//
// A message says once, in its method fields, which field has which number and type; the same list writes it and reads
// it (see [Codec]). Operations are the choices of a Request; their table is in operations.go.
//
// It is checked against the real library by the tests of the host's sandbox. Its callers are the packages of the SDK.
package wire
