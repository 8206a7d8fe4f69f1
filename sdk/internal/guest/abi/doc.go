// Package abi is the part of the guest interface that flows and contracts share: fairlead_abi, fairlead_alloc, the
// passing of messages, the random stream, and the growing of the heap beforehand. It is empty outside of
// GOOS=wasip1.
package abi
