// Package canonical reads and writes messages that are hashed: Protobuf of which every value has exactly one encoding.
//
// Fields stand in ascending order, each at most once unless it repeats; varints are as short as can be; a field that has
// its default value is left out; there are no fields that the reader does not know. Whatever else is Protobuf is refused,
// so what is read and written again is the same bytes, and nobody can have two encodings of one thing.
//
// Package ledger is the caller. The bytes are those that Protobuf's own encoder writes for the messages of
// fairlead.ledger.v1, which a test of the platform compares.
package canonical
