// Package signing fixes what is signed in a fairlead cluster: what the bytes of each purpose begin with, how a signature
// is checked, how keys are named, and how a secret travels in a reply.
//
// Every purpose has a beginning of its own, and none is the beginning of another's: a signature that was made for one
// purpose can never be taken for one of another. The crypto worker signs only bytes that pass [Check], whoever asks.
//
// What never changes: the beginnings, for signatures are kept for ever; signatures are over whole bytes, never over a
// caller's digest. The package computes and does nothing else.
//
// Called by processors/crypto, and by everything that asks it for signatures or checks them.
package signing
