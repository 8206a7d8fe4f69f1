// Package registry holds the flows and contracts of a program, and runs a flow against a host, or a contract against a
// transaction.
//
// Registration happens while the program initialises; afterwards nothing changes. Packages flow and contract fill it; the
// guest and package flowtest run from it.
package registry
