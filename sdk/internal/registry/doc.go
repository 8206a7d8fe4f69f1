// Package registry holds the flows of a program and runs one of them against a host.
//
// Registration happens while the program initialises; afterwards nothing changes. Package flow fills it; the guest
// and package flowtest run from it.
package registry
